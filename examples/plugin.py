"""Plugin that accepts the id tags of a list, and no other.

Run the server with it:    make run ARGS="--plugin examples.plugin:Tags"
"""

from chargehand import Call, Plugin, passive, v16


class Tags(Plugin):
    """Answers Authorize; the back office goes on answering everything else."""

    known = frozenset({"T1", "T2"})

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        """Accept the tags of the list."""
        known = call.request.id_tag in self.known
        status = v16.AuthorizationStatus.ACCEPTED if known else v16.AuthorizationStatus.INVALID
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))
