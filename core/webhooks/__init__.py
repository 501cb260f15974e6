"""Webhooks: signed POSTs that tell another service what happens in a flow.

A *webhook event* says that a step or a task is finished, or that the flow waits or has ended. Events
are computed from the flow's log (`events`), so all that is stored beside the log is a *delivery
cursor* per flow: the outbox (`outbox`). The cursor moves on after the receiver has answered 2xx, so
each event is delivered at least once and in order, whenever a dispatcher is killed (`dispatcher`).

`targets` says where webhooks may go, `signing` how receivers check them, `sender` is the port that
sends one POST.
"""
