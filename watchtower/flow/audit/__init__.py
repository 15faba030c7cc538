"""`watchtower audit`: a design review, computed from a rulebook and, where there are events, from what happened.

seen = observe(loaded, program, history, events, at)      what happened, as plain values
audit(program, seen)                                      the whole review: a pure function of both

finding      one gap: what it is, what it was computed from, its priority and why, what to do
facts        what rules say about states, owners and the clock
observe      the only part that asks a database
handoffs, components, reps, unused, rework, starved      one subject each; pure
differ       do groups differ beyond chance?
maturity     the stage, with the evidence for each criterion
review       the parts put together; page, the same as HTML

Nothing is imported here: pages and metrics read `facts` and `rework` alone, and statistics take most of a second to
load.
"""
