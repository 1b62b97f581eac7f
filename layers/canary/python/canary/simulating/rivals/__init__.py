"""What others do, as their documentation and code describe it, on the same traces."""

from __future__ import annotations

from canary.simulating.policy import Policy
from canary.simulating.rivals.argo import Argo
from canary.simulating.rivals.article import FirstTwo
from canary.simulating.rivals.codedeploy import AnyError, CodeDeploy, ErrorRate
from canary.simulating.rivals.flagger import Flagger
from canary.simulating.rivals.kayenta import Kayenta

RIVALS: tuple[Policy, ...] = (
    FirstTwo(),
    CodeDeploy(AnyError()),
    CodeDeploy(ErrorRate()),
    Argo(),
    Argo(no_data_is_fine=False),
    Flagger(),
    Kayenta(),
)
