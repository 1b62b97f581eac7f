"""The embedded AWS: a MiniStack server with the router deployed on it, for tries, for the demo and for tests.

`up` and `down` keep one with its state; `embedded` runs one that leaves nothing behind.
"""

from canary.local.checkout import Checkout
from canary.local.deploy import Version
from canary.local.environment import Embedded, down, embedded, status, up
from canary.local.errors import LocalError
from canary.local.stack import LocalStack, as_shell, exports

__all__ = [
    "Checkout",
    "Embedded",
    "LocalError",
    "LocalStack",
    "Version",
    "as_shell",
    "down",
    "embedded",
    "exports",
    "status",
    "up",
]
