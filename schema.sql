-- The ledger of migrator: every contact, state, move and send. What must not happen is refused here,
-- not by conventions of the callers.
--
-- Times are milliseconds since the epoch, UTC, in columns named ..._ms, up to the year 9999. They are
-- for people and for the history; nothing is decided by them, because a wall clock can be wrong. But
-- `verify` tells by them whether an update was sent before or after a lead was verified.
--
-- A CHECK of one column says what it can hold. `ledger.integrity` checks a file that another program
-- may have written against all of them.

PRAGMA application_id = 1835496052;  -- "mgrt": tells this file from any other SQLite database
PRAGMA user_version = 1;             -- the schema's version; a newer one is refused

-- The words ------------------------------------------------------------------------------------
-- migrator/states.py holds the same words; a test compares the two.

CREATE TABLE state (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO state VALUES
    ('extracted'),  -- HubSpot gave it; stage maps it
    ('mapped'),     -- its lead is built; push sends it
    ('posted'),     -- LeadGenius holds it; verify looks at it
    ('verified');   -- a complete listing showed it as it was sent

CREATE TABLE move (
    source TEXT NOT NULL REFERENCES state (name),
    target TEXT NOT NULL REFERENCES state (name),
    PRIMARY KEY (source, target)
) STRICT, WITHOUT ROWID;
INSERT INTO move VALUES
    ('extracted', 'mapped'),
    ('mapped',    'extracted'),  -- the contact or the rules changed: map again
    ('mapped',    'posted'),
    ('posted',    'verified'),
    ('posted',    'mapped'),     -- verified to be absent, and the user asked to send again; or undone
    ('verified',  'mapped'),     -- its lead was deleted since, by LeadGenius's users or by undo
    ('verified',  'posted');     -- its lead was updated: verify looks at it again

CREATE TABLE outcome (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO outcome VALUES
    ('created'),    -- answered with the lead's id
    ('refused'),    -- the service said no to this lead
    ('denied'),     -- the service said no to us
    ('throttled'),  -- the service said not now
    ('unsent'),     -- it never left
    ('found'),      -- was in doubt; a listing showed that it was done
    ('absent'),     -- was in doubt; a complete listing showed that it was not done
    ('updated'),    -- an update: answered with a success
    ('edited'),     -- an update that was in doubt; a listing showed neither old nor new values
    ('deleted');    -- a delete: answered with a success, or that there is no such lead

CREATE TABLE hold (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO hold VALUES
    ('no_email'), ('invalid_email'), ('duplicate_email'), ('already_in_destination'),
    ('refused'), ('gave_up'), ('missing'), ('different'), ('doubled'),
    ('conflict'), ('gone'), ('undone');

-- The journey ----------------------------------------------------------------------------------

-- Every mapping that a lead of this ledger may have been built by.
CREATE TABLE mapping (
    id       INTEGER PRIMARY KEY,
    hash     TEXT NOT NULL UNIQUE,  -- SHA-256 of its rules, hexadecimal; comments do not count
    text     TEXT NOT NULL,         -- the file as it was given, TOML
    first_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    CHECK (first_ms BETWEEN 0 AND 253402300799999)
) STRICT;

-- One row: which portal, service and client this ledger belongs to (NULL until known, then for
-- good), and what earlier pushes found out about the client.
CREATE TABLE ledger (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    uid            TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),  -- this ledger's own, and its copies'
    portal_id      TEXT,
    leadgenius_url TEXT,
    client_id      TEXT,     -- the slug for lead operations, never the client's internal id
    canary_ms      INTEGER,  -- the first leads were read back under the client_id
    unclaimed      INTEGER NOT NULL DEFAULT 0 CHECK (unclaimed >= 0),  -- leads that the last
                             -- verification saw of contacts without one here: the next push looks
    forgotten_ms   INTEGER,  -- `forget` took the people out; from then on nothing comes in
    intents        INTEGER NOT NULL DEFAULT 0 -- intents to send so far; tells an older copy of this file
                   CHECK (intents >= 0),
    taken          INTEGER NOT NULL DEFAULT 0 -- leads that LeadGenius took from these sends so far
                   CHECK (taken >= 0),
    mapping        INTEGER REFERENCES mapping (id), -- the active one; NULL = none yet
    chosen_client_id TEXT,   -- the client to bind to unless another is given
    pace           REAL CHECK (pace BETWEEN 0.1 AND 1e6), -- requests a minute that were found to pass
    put_replaces   INTEGER CHECK (put_replaces IN (0, 1)), -- whether an update empties the fields that
                             -- it does not name; NULL = the first update has not been read back yet
    update_canary_ms INTEGER CHECK (update_canary_ms BETWEEN 0 AND 253402300799999), -- the first
                             -- updates were read back
    written_boot TEXT,       -- the last answered write: the boot of the machine ...
    written_at   REAL,       -- ... and the seconds since then, on a clock that does not stop asleep
    CHECK ((written_boot IS NULL) = (written_at IS NULL)),
    CHECK (canary_ms BETWEEN 0 AND 253402300799999),
    CHECK (forgotten_ms BETWEEN 0 AND 253402300799999)
) STRICT;
INSERT INTO ledger (id) VALUES (1);

CREATE TRIGGER ledger_is_bound_once
BEFORE UPDATE ON ledger
WHEN (OLD.portal_id IS NOT NULL AND NEW.portal_id IS NOT OLD.portal_id)
    OR (OLD.leadgenius_url IS NOT NULL AND NEW.leadgenius_url IS NOT OLD.leadgenius_url)
    OR (OLD.client_id IS NOT NULL AND NEW.client_id IS NOT OLD.client_id)
BEGIN
    SELECT RAISE(ABORT, 'the ledger is bound to another journey');
END;

-- A forgotten ledger can do no more work, so nothing may be left to do, except for held contacts; and
-- it cannot be undone.
CREATE TRIGGER ledger_is_forgotten_when_finished
BEFORE UPDATE OF forgotten_ms ON ledger
WHEN OLD.forgotten_ms IS NOT NULL
    OR EXISTS (
        SELECT 1 FROM checkpoint WHERE name = 'extraction' AND (
            scan = 0 OR complete = 0
            -- The scan is not whole: the rule of migrator/completeness.py.
            OR counted - met - odd > 10
            OR (counted > met + odd AND 10 * (counted - met - odd) >= counted)
            OR (odd > 10 AND 10 * odd >= met + odd)
        )
    )
    OR EXISTS (SELECT 1 FROM state_count WHERE contacts > 0 AND held = '' AND state <> 'verified')
    OR EXISTS (SELECT 1 FROM attempt WHERE outcome IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'only a finished ledger is forgotten, and once');
END;

-- Every command that works on the ledger. A row without an end is at work now, or was killed.
CREATE TABLE run (
    id        INTEGER PRIMARY KEY,
    command   TEXT NOT NULL,
    pid       INTEGER NOT NULL CHECK (pid >= 0),
    host      TEXT NOT NULL,
    folder    TEXT NOT NULL DEFAULT '',  -- in which the ledger lay then
    began_ms  INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    ended_ms  INTEGER,
    exit_code INTEGER CHECK (exit_code BETWEEN 0 AND 255),
    counters  TEXT NOT NULL DEFAULT '{}',  -- JSON object: what it did, in numbers
    intents   INTEGER NOT NULL DEFAULT 0 CHECK (intents >= 0),  -- `ledger.intents` when it began
    CHECK (iif(json_valid(counters), json_type(counters) = 'object', 0)),
    CHECK (began_ms BETWEEN 0 AND 253402300799999),
    CHECK (ended_ms BETWEEN 0 AND 253402300799999),
    CHECK ((ended_ms IS NULL) = (exit_code IS NULL))
) STRICT;

-- The commands that were run, each with how it ended: those of a `run` are in its counters.
CREATE VIEW run_command AS
SELECT id, command, began_ms, exit_code FROM run WHERE command <> 'run'
UNION ALL
SELECT run.id, step.key, step.value ->> 'began_ms', step.value ->> 'exit_code'
FROM run, json_each(run.counters) AS step
WHERE run.command = 'run' AND step.type = 'object' AND step.key <> 'now';

-- Where a scan through a service's pages stands. It is written with the page that it follows.
CREATE TABLE checkpoint (
    name     TEXT PRIMARY KEY CHECK (name IN ('extraction', 'verification')),
    scan     INTEGER NOT NULL DEFAULT 0,  -- how many scans were begun
    complete INTEGER NOT NULL DEFAULT 1 CHECK (complete IN (0, 1)),  -- 0: go on at the cursor
    cursor   TEXT,                        -- as the service gave it; NULL = the first page
    pages    INTEGER NOT NULL DEFAULT 0,  -- in this scan
    contacts_seen INTEGER NOT NULL DEFAULT 0,  -- extraction: contacts that HubSpot ever gave, each
                                          -- counted once
    met      INTEGER NOT NULL DEFAULT 0,  -- extraction, in this scan: contacts, each once
    odd      INTEGER NOT NULL DEFAULT 0,  -- extraction, in this scan: rows that were left out
    counted  INTEGER CHECK (counted >= 0),  -- extraction: by HubSpot itself; NULL = not known
    CHECK (scan >= 0 AND pages >= 0 AND contacts_seen >= 0 AND met >= 0 AND odd >= 0),
    CHECK (complete = 0 OR cursor IS NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO checkpoint (name) VALUES ('extraction'), ('verification');

-- A cursor may be the key of a row at the service, and such a key may be an e-mail.
CREATE TRIGGER checkpoint_stays_forgotten
BEFORE UPDATE OF cursor ON checkpoint
WHEN NEW.cursor IS NOT NULL AND (SELECT forgotten_ms FROM ledger) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the ledger is forgotten');
END;

-- Contacts -------------------------------------------------------------------------------------

CREATE TABLE company (
    company_id TEXT PRIMARY KEY,
    properties TEXT,             -- JSON object; NULL = HubSpot does not have it any more
    scan       INTEGER NOT NULL, -- the scan that last asked for it
    CHECK (iif(json_valid(properties), json_type(properties) = 'object', properties IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER company_is_not_born_forgotten
BEFORE INSERT ON company
WHEN (SELECT forgotten_ms FROM ledger) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the ledger is forgotten');
END;

CREATE TRIGGER company_stays_forgotten
BEFORE UPDATE ON company
WHEN (SELECT forgotten_ms FROM ledger) IS NOT NULL AND ifnull(NEW.properties, '{}') <> '{}'
BEGIN
    SELECT RAISE(ABORT, 'the ledger is forgotten');
END;

CREATE TABLE contact (
    key          INTEGER PRIMARY KEY CHECK (key > 0),  -- HubSpot's order; the first one wins
    hubspot_id   TEXT NOT NULL UNIQUE,
    state        TEXT NOT NULL DEFAULT 'extracted' REFERENCES state (name),
    held         TEXT REFERENCES hold (name),  -- why it is held; NULL = it is not
    detail       TEXT,                 -- of the hold, JSON (migrator/hold_details.py): a text, or
                                       -- a code with its arguments
    source       TEXT NOT NULL,        -- JSON: what HubSpot gave, as far as the mapping reads it
    scan         INTEGER NOT NULL DEFAULT 0,  -- the extraction's scan that last met it, or the
                                       -- record that it was merged into
    company_id   TEXT REFERENCES company (company_id),
    company_rule TEXT CHECK (company_rule IN ('primary', 'associatedcompanyid', 'first')),
    email_key    TEXT,                 -- the e-mail, normalised: one of them is one lead
    lead         TEXT,                 -- JSON, without the client_id: as it will be sent; once sent,
                                       -- what LeadGenius was last told and took (the base)
    new_lead     TEXT,                 -- JSON: what HubSpot would give now, if it differs from `lead`
                                       -- of a sent contact; NULL = it does not
    decided      TEXT,                 -- JSON: by field of a conflict, the value that LeadGenius showed
                                       -- and the value that a person chose
    gone         TEXT CHECK (gone IN ('merged', 'archived', 'unknown')),  -- why HubSpot has it no more;
                                       -- NULL = it has it
    merged_into  TEXT,                 -- HubSpot's id of the record that it was merged into
    succeeded_by INTEGER REFERENCES contact (key),  -- the contact that has its lead now; the lead
                                       -- carries this one's record line until it is updated
    derived_fields TEXT,               -- which values the mapping had to make up, comma-separated
    lead_id      TEXT,                 -- LeadGenius's id, once known
    foreign_lead_id TEXT,              -- id of a lead with this e-mail that is not ours
    modified_ms  INTEGER CHECK (modified_ms BETWEEN 0 AND 253402300799999),  -- when HubSpot last
                                       -- changed it, by its own date; NULL = not known
    changed_ms   INTEGER,              -- when HubSpot was seen to differ from what was posted
    edited       TEXT,                 -- fields of a verified lead that differ since; NULL = none
    attempts_reset_at INTEGER NOT NULL DEFAULT 0 CHECK (attempts_reset_at >= 0),  -- attempts up to
                                       -- this one do not count any more
    tries        INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0), -- failed attempts since then, counted
                                       -- or not; 0 = untried
    unproven     INTEGER NOT NULL DEFAULT 0 CHECK (unproven IN (0, 1)), -- 1: given up while no lead
                                       -- at all was taken; tried once more after the next that is
    mapping      INTEGER REFERENCES mapping (id),  -- built or excluded it; NULL = it waits to be mapped
    amended      TEXT,                 -- JSON: the values that replace HubSpot's
    erased_ms    INTEGER CHECK (erased_ms BETWEEN 0 AND 253402300799999),  -- `forget CONTACT` took
                                       -- the person out: never filled, moved or freed again
    CHECK (iif(json_valid(source), json_type(source) = 'object', 0)),
    CHECK (iif(json_valid(lead), json_type(lead) = 'object', lead IS NULL)),
    CHECK (iif(json_valid(amended), json_type(amended) = 'object', amended IS NULL)),
    CHECK (iif(json_valid(detail), json_type(detail) IN ('text', 'object'), detail IS NULL)),
    CHECK (iif(json_valid(new_lead), json_type(new_lead) = 'object', new_lead IS NULL)),
    CHECK (iif(json_valid(decided), json_type(decided) = 'object', decided IS NULL)),
    CHECK (changed_ms BETWEEN 0 AND 253402300799999),
    CHECK (new_lead IS NULL OR (changed_ms IS NOT NULL AND lead_id IS NOT NULL)),
    CHECK (merged_into IS NULL OR gone = 'merged'),
    CHECK (succeeded_by IS NULL OR (gone IS NOT NULL AND lead_id IS NULL)),
    CHECK ((company_id IS NULL) = (company_rule IS NULL)),
    CHECK ((state = 'extracted') = (lead IS NULL)),
    CHECK (lead IS NULL OR email_key IS NOT NULL),
    CHECK ((state IN ('posted', 'verified')) = (lead_id IS NOT NULL)),
    CHECK (held IS NOT NULL OR detail IS NULL),
    CHECK (held IS NULL OR held NOT IN ('missing', 'different', 'doubled', 'conflict')
        OR lead_id IS NOT NULL),
    CHECK (held IS NULL OR held <> 'gone' OR (gone IS NOT NULL AND lead_id IS NULL)),
    CHECK (held IS NULL OR held <> 'undone' OR state = 'mapped'),
    CHECK (edited IS NULL OR state = 'verified'),
    CHECK (erased_ms IS NULL OR (lead_id IS NULL AND held IS NOT NULL)),
    CHECK (held IS NULL OR held NOT IN ('no_email', 'invalid_email') OR state = 'extracted')
) STRICT;

-- In a forgotten ledger a contact cannot change, and has no personal data but ids: an empty object
-- where the other rules require a lead, an empty text where they require an e-mail's key.
CREATE TRIGGER contact_is_not_born_forgotten
BEFORE INSERT ON contact
WHEN (SELECT forgotten_ms FROM ledger) IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'the ledger is forgotten');
END;

CREATE TRIGGER contact_stays_forgotten
BEFORE UPDATE ON contact
WHEN (SELECT forgotten_ms FROM ledger) IS NOT NULL AND (
    NEW.key <> OLD.key OR NEW.hubspot_id <> OLD.hubspot_id
    OR NEW.state <> OLD.state OR NEW.held IS NOT OLD.held OR NEW.lead_id IS NOT OLD.lead_id
    OR NEW.detail IS NOT NULL OR NEW.source <> '{}'
    OR NEW.new_lead IS NOT NULL OR NEW.decided IS NOT NULL
    OR ifnull(NEW.email_key, '') <> '' OR ifnull(NEW.lead, '{}') <> '{}'
    OR NEW.amended IS NOT NULL
)
BEGIN
    SELECT RAISE(ABORT, 'the ledger is forgotten');
END;

-- A person who was erased stays erased, even if HubSpot gives the contact again. Statements about many contacts leave
-- such a one as it is: it is skipped, and not counted as changed.
CREATE TRIGGER contact_stays_erased
BEFORE UPDATE ON contact
WHEN OLD.erased_ms IS NOT NULL AND (
    NEW.erased_ms IS NOT OLD.erased_ms OR NEW.hubspot_id <> OLD.hubspot_id
    OR NEW.state <> OLD.state OR NEW.held IS NULL OR NEW.lead_id IS NOT NULL
    OR NEW.source <> '{}' OR NEW.new_lead IS NOT NULL OR NEW.decided IS NOT NULL
    OR ifnull(NEW.email_key, '') <> '' OR ifnull(NEW.lead, '{}') <> '{}'
    OR NEW.amended IS NOT NULL
)
BEGIN
    SELECT RAISE(IGNORE);
END;

-- The next contacts of each command; each index shrinks as the work is done.
CREATE INDEX contact_to_map  ON contact (key) WHERE state = 'extracted' AND held IS NULL;
CREATE INDEX contact_to_send ON contact (tries, key) WHERE state = 'mapped' AND held IS NULL;
CREATE INDEX contact_unproven ON contact (key) WHERE unproven = 1;
CREATE INDEX contact_held    ON contact (held, key) WHERE held IS NOT NULL;
CREATE INDEX contact_changed ON contact (key) WHERE changed_ms IS NOT NULL;
CREATE INDEX contact_gone    ON contact (key) WHERE gone IS NOT NULL;
CREATE INDEX contact_succeeded ON contact (succeeded_by) WHERE succeeded_by IS NOT NULL;
CREATE INDEX contact_merged  ON contact (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX contact_edited  ON contact (key) WHERE edited IS NOT NULL;
CREATE INDEX contact_amended ON contact (key) WHERE amended IS NOT NULL;
CREATE INDEX contact_by_email ON contact (email_key) WHERE email_key IS NOT NULL;
CREATE UNIQUE INDEX contact_by_lead ON contact (lead_id) WHERE lead_id IS NOT NULL;

-- Sent contacts by the mapping that built them.
CREATE INDEX contact_sent_by_mapping ON contact (mapping) WHERE lead_id IS NOT NULL;

-- Two contacts with one e-mail are one lead: only one of them may ever be free to be sent.
CREATE UNIQUE INDEX contact_sendable_by_email ON contact (email_key)
    WHERE state = 'mapped' AND held IS NULL;

-- Whose lead a record line names: a contact's own, or its successor's.
CREATE VIEW record_owner AS
SELECT hubspot_id, ifnull(succeeded_by, key) AS key FROM contact;

CREATE TRIGGER contact_is_born_extracted
BEFORE INSERT ON contact
WHEN NEW.state <> 'extracted'
BEGIN
    SELECT RAISE(ABORT, 'a contact is born extracted');
END;

-- A move to the same state counts as illegal: it means two hands on one row.
CREATE TRIGGER contact_moves_legally
BEFORE UPDATE OF state ON contact
WHEN NOT EXISTS (SELECT 1 FROM move WHERE source = OLD.state AND target = NEW.state)
BEGIN
    SELECT RAISE(ABORT, 'illegal move');
END;

-- While a send is in flight or in doubt, its contact must not change.
CREATE TRIGGER contact_in_doubt_stands_still
BEFORE UPDATE OF state, lead, held, amended ON contact
WHEN EXISTS (SELECT 1 FROM attempt WHERE contact_key = OLD.key AND outcome IS NULL)
BEGIN
    SELECT RAISE(ABORT, 'the contact has an open attempt');
END;

-- A sent contact cannot be amended: the ledger would have values that were not sent.
CREATE TRIGGER contact_is_amended_before_it_is_sent
BEFORE UPDATE OF amended ON contact
WHEN NEW.amended IS NOT NULL AND OLD.state IN ('posted', 'verified')
BEGIN
    SELECT RAISE(ABORT, 'the contact was sent');
END;

CREATE TRIGGER contact_is_never_deleted
BEFORE DELETE ON contact
BEGIN
    SELECT RAISE(ABORT, 'contacts are never deleted');
END;

-- Sends ----------------------------------------------------------------------------------------

-- The intent to write, committed before the first byte leaves; the outcome is filled in later.
CREATE TABLE attempt (
    contact_key  INTEGER NOT NULL REFERENCES contact (key),
    number       INTEGER NOT NULL CHECK (number > 0),  -- 1, 2, ... of this contact
    run_id       INTEGER NOT NULL REFERENCES run (id),
    kind         TEXT NOT NULL DEFAULT 'create' CHECK (kind IN ('create', 'update', 'delete')),
    payload_hash TEXT NOT NULL,     -- SHA-256 of the body, of a delete of the lead's id; hexadecimal
    taken        INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),  -- `ledger.taken` when it was written
    sent_ms      INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    ended_ms     INTEGER,           -- the send was over; NULL = in flight, or its process died
    status       INTEGER CHECK (status BETWEEN 100 AND 999),  -- HTTP; NULL = no answer
    answer       TEXT,              -- excerpt, when it was not a plain success
    outcome      TEXT REFERENCES outcome (name),  -- NULL = in flight or in doubt
    settled_ms   INTEGER,
    lead_id      TEXT,              -- of a create: what it made; of the others: what they change
    counts       INTEGER NOT NULL DEFAULT 0 CHECK (counts IN (0, 1)),  -- 1: it failed while the
                                    -- service was known to work
    fields       TEXT,              -- of an update: JSON, the values that it sends
    before       TEXT,              -- of an update or a delete: JSON, the lead as it was listed right
                                    -- before; of a delete of a lead that no send made it is the proof
    base         TEXT,              -- of an update: JSON, the contact's `lead` once it is taken
    overrode     TEXT,              -- JSON: what a person decided. Of an update, by field in conflict:
                                    -- 'prefer' or 'amend'; of a delete: {"adopted": "undo"} or
                                    -- {"doubled": "undo"}, if no send of this ledger made the lead
    made_status  TEXT,              -- of a create: the lead's `status` in the answer
    PRIMARY KEY (contact_key, number),
    CHECK (iif(json_valid(fields), json_type(fields) = 'object', fields IS NULL)),
    CHECK (iif(json_valid(before), json_type(before) = 'object', before IS NULL)),
    CHECK (iif(json_valid(overrode), json_type(overrode) = 'object', overrode IS NULL)),
    CHECK (iif(json_valid(base), json_type(base) = 'object', base IS NULL)),
    CHECK (kind = 'update' OR (fields IS NULL AND base IS NULL)),
    CHECK (kind <> 'create' OR (before IS NULL AND overrode IS NULL)),
    CHECK (kind = 'create' OR lead_id IS NOT NULL),
    CHECK (outcome IS NULL OR outcome <> 'created' OR kind = 'create'),
    CHECK (outcome IS NULL OR outcome NOT IN ('updated', 'edited') OR kind = 'update'),
    CHECK (outcome IS NULL OR outcome <> 'deleted' OR kind = 'delete'),
    CHECK (sent_ms BETWEEN 0 AND 253402300799999),
    CHECK (ended_ms BETWEEN 0 AND 253402300799999),
    CHECK (settled_ms BETWEEN 0 AND 253402300799999),
    CHECK ((outcome IS NULL) = (settled_ms IS NULL)),
    CHECK (kind <> 'create'
        OR (outcome IS NOT NULL AND outcome IN ('created', 'found')) = (lead_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The lock: a contact has at most one attempt in flight or in doubt, of any kind.
CREATE UNIQUE INDEX attempt_open ON attempt (contact_key) WHERE outcome IS NULL;

-- Attempts by the lead that they made or changed.
CREATE INDEX attempt_by_lead ON attempt (lead_id) WHERE lead_id IS NOT NULL AND kind <> 'create';

-- Contacts with an attempt in flight or in doubt: until it is settled they stand still.
CREATE VIEW open_attempt AS SELECT contact_key FROM attempt WHERE outcome IS NULL;

-- HubSpot's ids of records that wait for one that was merged into them: its send is open, or its lead
-- is still to become theirs.
CREATE VIEW waiting_successor AS
SELECT merged_into AS hubspot_id FROM contact
WHERE merged_into IS NOT NULL AND (
    lead_id IS NOT NULL
    OR EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key)
);

-- Contacts that may be sent now.
CREATE VIEW sendable_contact AS
SELECT key, hubspot_id, lead, derived_fields, modified_ms, tries FROM contact
WHERE state = 'mapped' AND held IS NULL AND gone IS NULL
    AND NOT EXISTS (SELECT 1 FROM open_attempt WHERE contact_key = contact.key)
    AND NOT EXISTS (
        SELECT 1 FROM waiting_successor AS waiting WHERE waiting.hubspot_id = contact.hubspot_id);

CREATE TRIGGER attempt_needs_a_sendable_contact
BEFORE INSERT ON attempt
WHEN NEW.outcome IS NOT NULL OR (NEW.kind = 'create' AND NOT EXISTS (
    SELECT 1 FROM contact
    WHERE key = NEW.contact_key AND state = 'mapped' AND held IS NULL AND gone IS NULL
        AND hubspot_id NOT IN waiting_successor
))
BEGIN
    SELECT RAISE(ABORT, 'the contact is not free to be sent');
END;

-- An update changes the contact's own lead; a delete, no lead of another contact.
CREATE TRIGGER attempt_is_about_its_own_lead
BEFORE INSERT ON attempt
WHEN NEW.kind <> 'create' AND (
    (NEW.kind = 'update' AND NOT EXISTS (
        SELECT 1 FROM contact WHERE key = NEW.contact_key AND lead_id = NEW.lead_id))
    OR EXISTS (SELECT 1 FROM contact WHERE lead_id = NEW.lead_id AND key <> NEW.contact_key)
)
BEGIN
    SELECT RAISE(ABORT, 'the lead is not the contact''s');
END;

CREATE TRIGGER attempt_is_the_only_one_for_its_email
BEFORE INSERT ON attempt
WHEN NEW.kind = 'create' AND EXISTS (
    SELECT 1 FROM contact AS mine
    JOIN contact AS other ON other.email_key = mine.email_key AND other.key <> mine.key
    WHERE mine.key = NEW.contact_key AND (
        other.state IN ('posted', 'verified')
        OR EXISTS (SELECT 1 FROM attempt WHERE contact_key = other.key AND outcome IS NULL)
    )
)
BEGIN
    SELECT RAISE(ABORT, 'another contact with this e-mail was sent');
END;

-- A process that lost its lock while it was paused must not send any more once another run has begun.
CREATE TRIGGER attempt_is_of_the_newest_run
BEFORE INSERT ON attempt
WHEN NEW.run_id IS NOT (SELECT max(id) FROM run)
BEGIN
    SELECT RAISE(ABORT, 'another process has taken over the ledger');
END;

CREATE TRIGGER attempt_is_settled_once
BEFORE UPDATE OF contact_key, number, run_id, kind, payload_hash, sent_ms, ended_ms, status, outcome,
    settled_ms, lead_id, overrode ON attempt
WHEN OLD.outcome IS NOT NULL
    OR NEW.contact_key <> OLD.contact_key OR NEW.number <> OLD.number OR NEW.kind <> OLD.kind
    OR NEW.payload_hash <> OLD.payload_hash OR NEW.sent_ms <> OLD.sent_ms
    OR NEW.overrode IS NOT OLD.overrode
    OR (NEW.kind <> 'create' AND NEW.lead_id <> OLD.lead_id)
BEGIN
    SELECT RAISE(ABORT, 'the attempt is settled');
END;

-- What an update sends, and what was there before it or a delete, are kept until the people are forgotten.
CREATE TRIGGER attempt_values_are_kept_or_forgotten
BEFORE UPDATE OF fields, before, base ON attempt
WHEN NEW.fields IS NOT NULL OR NEW.before IS NOT NULL OR NEW.base IS NOT NULL
    OR OLD.outcome IS NULL
BEGIN
    SELECT RAISE(ABORT, 'the attempt is settled');
END;

-- The leads that a contact had before the one that it has now: what LeadGenius had been told (the base)
-- when each of its attempts was written. A base becomes another one by an update that was taken, and
-- field by field by HubSpot's value, where that is there already or the one there is kept.
CREATE TABLE former_base (
    contact_key INTEGER NOT NULL REFERENCES contact (key),
    number      INTEGER NOT NULL CHECK (number > 0),    -- 1, 2, ... of this contact
    attempt     INTEGER NOT NULL CHECK (attempt >= 0),  -- the contact's last attempt then
    lead_id     TEXT,           -- the contact's, then; NULL = it was not sent
    lead        TEXT NOT NULL,  -- JSON
    new_lead    TEXT,           -- JSON: what HubSpot gave then
    PRIMARY KEY (contact_key, number),
    CHECK (iif(json_valid(lead), json_type(lead) = 'object', 0)),
    CHECK (iif(json_valid(new_lead), json_type(new_lead) = 'object', new_lead IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TRIGGER contact_base_is_kept
AFTER UPDATE OF lead ON contact
WHEN OLD.lead IS NOT NULL AND NEW.lead IS NOT OLD.lead AND NEW.lead IS NOT '{}'
    -- A successor has a lead without an attempt of its own.
    AND (OLD.lead_id IS NOT NULL
        OR EXISTS (SELECT 1 FROM attempt WHERE contact_key = OLD.key AND lead_id IS NOT NULL))
BEGIN
    INSERT INTO former_base VALUES (
        OLD.key, (SELECT ifnull(max(number), 0) + 1 FROM former_base WHERE contact_key = OLD.key),
        (SELECT ifnull(max(number), 0) FROM attempt WHERE contact_key = OLD.key),
        OLD.lead_id, OLD.lead, OLD.new_lead
    );
END;

-- An answer may quote personal data, so a forgotten ledger and an erased contact have none. Otherwise
-- it cannot change.
CREATE TRIGGER attempt_answer_is_kept_or_forgotten
BEFORE UPDATE OF answer ON attempt
WHEN NEW.answer IS NOT OLD.answer AND (
    (OLD.outcome IS NOT NULL AND (SELECT forgotten_ms FROM ledger) IS NULL
        AND (NEW.answer IS NOT NULL OR (SELECT erased_ms FROM contact WHERE key = OLD.contact_key) IS NULL))
    OR (NEW.answer IS NOT NULL AND (SELECT forgotten_ms FROM ledger) IS NOT NULL)
)
BEGIN
    SELECT RAISE(ABORT, 'the answer is settled');
END;

CREATE TRIGGER attempt_is_never_deleted
BEFORE DELETE ON attempt
BEGIN
    SELECT RAISE(ABORT, 'attempts are never deleted');
END;

-- A contact's leads from before it was to be sent again, and those with its line that LeadGenius
-- marked as deleted or as a duplicate. If such a lead is listed as in use again, it is the contact's;
-- marked as deleted, it does not prove that a later send has arrived.
CREATE TABLE former_lead (
    lead_id     TEXT PRIMARY KEY,
    contact_key INTEGER NOT NULL REFERENCES contact (key)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_lead_by_contact ON former_lead (contact_key);

-- Leads with our record line that no send of this ledger made, as a quiet look has shown them: another
-- ledger's. They ask for no further look, and `verify` names them.
CREATE TABLE foreign_lead (lead_id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- What probes found out about LeadGenius, one row per probe: JSON as of `migrator probe --json`.
CREATE TABLE probe (
    leadgenius_url TEXT NOT NULL,
    probed_ms      INTEGER NOT NULL,
    findings       TEXT NOT NULL,
    CHECK (probed_ms BETWEEN 0 AND 253402300799999),
    CHECK (iif(json_valid(findings), json_type(findings) = 'object', 0)),
    PRIMARY KEY (leadgenius_url, probed_ms)
) STRICT, WITHOUT ROWID;

-- What the listings of the last verification showed: one row per lead that is one of ours, except for
-- contacts' own leads that are as they were sent. Conclusions are drawn only when a listing is
-- complete.
CREATE TABLE seen_lead (
    lead_id     TEXT PRIMARY KEY,
    contact_key INTEGER REFERENCES contact (key),  -- NULL = the contact is not in this ledger
    record      TEXT,  -- HubSpot's id on its record line; NULL = it has no line of our portal
    removed     INTEGER NOT NULL DEFAULT 0 CHECK (removed IN (0, 1)),  -- marked as deleted
    differs     TEXT,  -- names of the fields that are not as they were sent; NULL = none
    lacks       TEXT,  -- names of the sent fields that it does not show; NULL = none, or concluded
    edits       INTEGER NOT NULL DEFAULT 0 CHECK (edits IN (0, 1)),  -- 1: these are people's edits
                       -- of a lead that was verified before its last update
    there       TEXT,  -- JSON: what is listed of the fields in `differs`; NULL = none
    CHECK (iif(json_valid(there), json_type(there) = 'object', there IS NULL)),
    CHECK (contact_key IS NOT NULL OR record IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_lead_by_contact ON seen_lead (contact_key);

-- Erasing a contact also erases what else is known of its leads.
CREATE TRIGGER contact_leads_are_forgotten
AFTER UPDATE OF source ON contact
WHEN NEW.source = '{}'
BEGIN
    DELETE FROM former_base WHERE contact_key = NEW.key;
    UPDATE seen_lead SET there = NULL WHERE contact_key = NEW.key AND there IS NOT NULL;
END;

-- History and sums, written by triggers so that no caller can forget them ----------------------

CREATE TABLE event (
    contact_key INTEGER NOT NULL REFERENCES contact (key),
    number      INTEGER NOT NULL CHECK (number > 0),  -- 1, 2, ... of this contact
    at_ms       INTEGER NOT NULL CHECK (at_ms BETWEEN 0 AND 253402300799999),
    source      TEXT REFERENCES state (name),         -- NULL = born
    target      TEXT NOT NULL REFERENCES state (name),
    held        TEXT REFERENCES hold (name),          -- the hold from then on
    PRIMARY KEY (contact_key, number)
) STRICT, WITHOUT ROWID;

-- Contacts by state and hold, so that counting does not grow with the ledger.
CREATE TABLE state_count (
    state    TEXT NOT NULL REFERENCES state (name),
    held     TEXT NOT NULL,        -- '' = free to move
    contacts INTEGER NOT NULL CHECK (contacts >= 0),
    PRIMARY KEY (state, held)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER contact_birth_is_logged
AFTER INSERT ON contact
BEGIN
    INSERT INTO event VALUES (
        NEW.key, 1, CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER),
        NULL, NEW.state, NEW.held
    );
    INSERT INTO state_count VALUES (NEW.state, ifnull(NEW.held, ''), 1)
        ON CONFLICT DO UPDATE SET contacts = contacts + 1;
END;

CREATE TRIGGER contact_move_is_logged
AFTER UPDATE OF state, held ON contact
WHEN NEW.state <> OLD.state OR NEW.held IS NOT OLD.held
BEGIN
    INSERT INTO event VALUES (
        NEW.key, (SELECT max(number) + 1 FROM event WHERE contact_key = NEW.key),
        CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER),
        OLD.state, NEW.state, NEW.held
    );
    UPDATE state_count SET contacts = contacts - 1 WHERE state = OLD.state AND held = ifnull(OLD.held, '');
    INSERT INTO state_count VALUES (NEW.state, ifnull(NEW.held, ''), 1)
        ON CONFLICT DO UPDATE SET contacts = contacts + 1;
END;
