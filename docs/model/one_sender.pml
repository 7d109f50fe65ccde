/* One contact, two machines, one fence: can the contact get a second lead? See README.md.
 *
 * Each statement is a step, an `atomic` is one step, and any time may pass before a step: a frozen
 * machine is a process that is not scheduled. `-DWITHOUT=...` takes one of these rules away: */
mtype = { NOTHING, FENCE, QUESTION, ONE_STEP, EPOCH, LOOK_EPOCH, LOOKS, OWED_LOOKS, INTENT, DOUBT };
#ifndef WITHOUT
#define WITHOUT NOTHING
#endif
#ifndef SETTLE
#define SETTLE 2            /* ticks that a doubt, or a take-over, waits before its look */
#endif
#define LATE 2              /* a request lands, if at all, before this tick after its send */
#define NONE 2
#define NO_LIMIT 255
#ifndef FAULTS
#define FAULTS NO_LIMIT     /* how many things go wrong; if limited, every run ends */
#endif
#define FAULT(when) (when) && faults -> faults = (faults == NO_LIMIT -> NO_LIMIT : faults - 1)

mtype = { free, intent, posted };
mtype ledger[2] = free;     /* committed on each machine's disk: it outlives the process */
bool quiet[2] = true;       /* no looks owed: no other machine held the fence since its own */
byte fence = NONE;          /* the machine that holds it */
byte left[2];               /* two requests under way: the ticks left to land, 0 = none */
byte wait[2];               /* the ticks that each machine has still to wait */
bool dies[2];
byte leads, faults = FAULTS;

#define MAY_SEND (fence == me || WITHOUT == FENCE || WITHOUT == QUESTION)
#define COUNT_DOWN(ticks) ticks = (ticks -> ticks - 1 : 0)
inline land(one) {
    left[one] = 0; leads++; printf("a lead is created: number %d\n", leads);
    assert(leads <= 1)      /* I3, I6, the promise: never two leads of the contact */
}
inline settle() { wait[me] = SETTLE; wait[me] == 0 }
inline look() { atomic { seen = leads; printf("machine %d looks: %d there\n", me, seen) } }
inline release() { if :: fence == me -> fence = NONE :: else fi }

active [2] proctype Machine() {
    byte me = _pid, seen, before, request;
    bool owed;
start:
    {
        atomic { (fence == NONE || WITHOUT == FENCE) ->             /* I6: one sender */
            fence = (WITHOUT == FENCE -> NONE : me); printf("machine %d starts\n", me);
            quiet[1 - me] = quiet[1 - me] && WITHOUT == EPOCH }
        if
        :: quiet[me] -> owed = false                 /* a plain restart on its own ledger */
        :: atomic { owed = (WITHOUT != LOOKS); quiet[me] = (WITHOUT == OWED_LOOKS);
               if :: ledger[me] = ledger[1 - me]     /* a take-over: the other one's ledger, */
                  :: ledger[me] = free               /* a replica that is behind, */
                  :: skip fi;                        /* or its own, but the other was here */
               printf("machine %d takes over, its ledger: %e\n", me, ledger[me]) }
        fi;
        look();                                      /* before the first send */
        do :: owed -> before = seen; settle(); look(); owed = (seen != before)  /* any news? */
           :: else -> break od;
        if :: seen -> ledger[me] = posted :: else fi;    /* I5: adopted */
        atomic { if :: fence == me || WITHOUT == LOOK_EPOCH -> quiet[me] = true :: else fi };
        do
        :: ledger[me] == posted -> break
        :: ledger[me] == intent -> settle(); look(); ledger[me] = (seen -> posted : free)  /* I3 */
        :: ledger[me] == free ->
           if :: WITHOUT == INTENT :: else -> ledger[me] = intent fi;           /* I1 */
           if :: MAY_SEND :: else -> goto lost fi;
           atomic { if :: MAY_SEND || WITHOUT == ONE_STEP :: else -> goto lost fi;   /* I6 */
               assert(ledger[me] == intent || WITHOUT == INTENT);              /* I1 */
               printf("machine %d sends\n", me);
               if :: FAULT(true); request = NONE
                  :: request = (left[0] -> 1 : 0); left[request] = LATE fi }
           if :: request == NONE -> ledger[me] = free                       /* I2: not created */
              :: atomic { request != NONE && left[request] -> land(request) }
                 ledger[me] = posted                                        /* I2: created */
              :: request != NONE -> printf("machine %d has no answer\n", me);
                 ledger[me] = (WITHOUT == DOUBT -> posted : intent)         /* I2: in doubt */
           fi
        od;
        atomic { release() }
end:    false;              /* done; it starts again only if it dies */
lost:   ledger[me] = free; goto start                /* I6: nothing more leaves */
    } unless { atomic { dies[me] -> dies[me] = false; wait[me] = 0; release();
                   seen = 0; before = 0; request = 0; printf("machine %d dies\n", me) } goto start }
}

active [2] proctype World() {
    byte one = _pid - 2;    /* a machine, or a request */
end: do
    :: atomic { left[one] -> land(one) }             /* the answer is lost */
    :: atomic { FAULT(left[one]); left[one] = 0; printf("the request is dropped\n") }
    :: atomic { FAULT(!dies[one]); dies[one] = true }
    :: atomic { FAULT(fence == one); fence = NONE; printf("machine %d is out\n", one) }
    :: atomic { FAULT(FAULTS != NO_LIMIT) }          /* a fault that does not happen */
    :: d_step { (wait[one] || left[one]) && left[0] != 1 && left[1] != 1 -> printf("a tick\n");
           COUNT_DOWN(left[0]); COUNT_DOWN(left[1]); COUNT_DOWN(wait[0]); COUNT_DOWN(wait[1]) }
    od
}

#if FAULTS < NO_LIMIT
active proctype End() { timeout -> assert(leads == 1) }    /* and it is not lost */
#endif
