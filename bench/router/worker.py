"""One router in a process of its own, as Lambda would run it; told over its input what to do.

Started as a script. It imports nothing before the handler's module, so that what that costs can be measured: hence no JSON
before the first answer, and an event that is a Python literal.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

_SAMPLED_S = 0.001


class Context:
    """What the Lambda runtime hands over."""

    function_name = "canary-router"
    function_version = "1"
    memory_limit_in_mb = 256
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:canary-router:live"
    aws_request_id = "6f1d3a52-9c41-4b7e-8d26-51b1f0a7c3e4"
    log_group_name = "/aws/lambda/canary-router"
    log_stream_name = "2026/11/21/[1]0"
    client_context = None
    identity = None

    def get_remaining_time_in_millis(self) -> int:
        return 29_000


def main(name: str, ready: str, events: str, first: str, said: int, still: str) -> None:
    """Import a handler, make it ready, send it the first request if there is one to send, and wait for commands.

    ``still``: for the handler time does not pass, so that nothing becomes due to be read again.
    """
    if still:
        at = time.time_ns()
        time.time_ns = lambda: at
    with open(events) as file:  # noqa: PTH123 - pathlib is what a handler would have to import
        of = eval(file.read())
    context = Context()
    there, moments = len(sys.modules), [_now()]
    module: Any = __import__(name, fromlist=["handler"])
    if ready:
        getattr(module, ready)()
    moments.append(_now())
    if first:
        _checked(module.handler(of[first], context))
    moments.append(_now())
    modules = len(sys.modules) - there
    start, made, answered = moments
    spans = [[made[0] - start[0], made[1] - start[1]], [answered[0] - made[0], answered[1] - made[1]]]
    os.write(said, f"[{spans}, {modules}]\n".encode())
    _serve(module.handler, of, context, said)


def _now() -> tuple[int, int]:
    return time.process_time_ns(), time.perf_counter_ns()


def _checked(answer: dict[str, Any]) -> None:
    if answer["statusCode"] not in (200, 202):
        raise SystemExit(f"the handler answered {answer}")


def _serve(handler: Any, of: dict[str, Any], context: Context, said: int) -> None:
    import gc  # noqa: PLC0415 - see above
    import json  # noqa: PLC0415

    texts = {app: json.dumps(event) for app, event in of.items()}
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        events = [json.loads(texts[command["app"]]) for _ in range(command["times"])]
        stacks: dict[str, int] = {}
        stop = _sample(stacks) if command["sampled"] else None
        gc.collect()  # what others have left is not collected at this batch's expense
        before = _now()
        for event in events:
            answer = handler(event, context)
        after = _now()
        if stop:
            stop()
        if events:
            _checked(answer)
        words = {"cpu": after[0] - before[0], "wall": after[1] - before[1], "resident": _resident(), "stacks": stacks}
        written = json.dumps(words).encode() + b"\n"
        while written:
            written = written[os.write(said, written) :]


def _sample(stacks: dict[str, int]) -> Any:
    """Count, from now on, the stacks that are found while the process is busy. Returns what ends that."""
    import signal  # noqa: PLC0415 - see above

    def take(_: int, frame: Any) -> None:
        names = []
        while frame is not None:
            names.append(f"{frame.f_globals.get('__name__', '')}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        stack = ";".join(reversed(names))
        stacks[stack] = stacks.get(stack, 0) + 1

    signal.signal(signal.SIGPROF, take)
    signal.setitimer(signal.ITIMER_PROF, _SAMPLED_S, _SAMPLED_S)
    return lambda: signal.setitimer(signal.ITIMER_PROF, 0)


def _resident() -> int:
    """Memory that the process has, in kB."""
    with open("/proc/self/status") as file:  # noqa: PTH123 - see above
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6])
