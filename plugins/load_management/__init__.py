"""Load management: the bundled plugin that shares the limit of a site among its charge points.

Off unless the settings name it, with the scope "cluster". Each charge point has a limit of its own, set by the verb
`limit`. Whatever charge points may draw is reserved for them: what they have accepted last, what they were sent and
have not answered yet, and all that they can draw as long as nothing is known.

The one rule: nobody is given more before somebody else has accepted less, so that the sum of what all may draw is
never above the limit.

In reading order: `settings`; `allowance`, what one charge point may draw at most; `records`, the same in the store;
`member`, a charge point; `allocation`, which shares; `site`, which plans; `readings`, what messages say; `plugin`,
which hears and sends; `commands`.
"""

from .commands import command
from .plugin import LoadManagement
from .settings import LoadSettings, Period, Priority, Site, Wiring

__all__ = ["LoadManagement", "LoadSettings", "Period", "Priority", "Site", "Wiring", "command"]
