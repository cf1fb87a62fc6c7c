"""The checks of the conformance kit, by subject.

- `base`: the declarations of a conformance class, and the tools that checks are written with
- `comparison`: comparing the families of two collectors
- `children`: work in the child of a fork
- `registration`: the protocol, identity, order, and unregistering
- `conflicts`: names that two collectors would expose
- `lookup`: finding the collector that occupies a name
- `scrape`: snapshots, failing collectors, prefixes, and the round trip through a parser
- `threads`: many threads at once
- `lifecycle`: moves between registries, forks, and `close()`
- `distribution`: a plugin as an installed distribution
"""
