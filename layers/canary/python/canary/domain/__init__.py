"""The pure core: no I/O, no clock, no randomness; standard library only.

Times are whole milliseconds since the epoch (UTC) and come in as arguments. Decisions go out as values that carry their
reason. The order of reading: ``target``, ``plan``, ``release`` (the state machine), ``audit``, ``judge``, ``lifecycle``
(what the flipper does next), ``flip`` (how parameters change hands), ``routing`` (what the router does with a request).
"""
