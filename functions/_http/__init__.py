"""What functions that answer HTTP share: apps and their middleware, tokens, bodies, errors.

`apps` puts it together, from the outside in: `edge` (base paths, health, safe headers), `cors`,
`compression`, `problems` (errors), `auth` (tokens, tickets, scopes; `under_way` bounds how many requests
of a subject there are). Routes use `bodies`, `models` and
`complaints` (what a request carries, and what is wrong with it), `accept` and `polling`.
"""
