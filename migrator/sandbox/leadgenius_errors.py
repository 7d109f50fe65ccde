"""LeadGenius's errors, in its format."""

from migrator.sandbox.messages import Answer, reply

Headers = tuple[tuple[str, str], ...]


def problem(
    status: int, error_type: str, error: str, details: str = "", headers: Headers = ()
) -> Answer:
    """An error in LeadGenius's format."""
    body = {
        "success": False,
        "error": error,
        "errorType": error_type,
        "details": details or error,
        "recommendation": "Check the request and try again.",
    }
    return reply(body, status, headers)


# The answer to all that the guide's bugs 3, 4 and 6 describe.
NO_DATA = problem(500, "server_error", "Failed to create lead - no data returned")
NOT_FOUND = problem(404, "not_found", "Not found")
CONFLICT = problem(409, "already_exists", "A lead with this e-mail already exists")
FAILED = problem(500, "server_error", "Internal server error")
