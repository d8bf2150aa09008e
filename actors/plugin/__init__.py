"""Plugin actors: handlers, routing, circuit breakers, shadow plugins and the redelivery of the spool.

The one rule: a plugin's failure costs its own calls and nothing else.
"""
