"""The checks of the conformance kit, by subject.

- `check`: the mark of a check, and the base of classes of checks
- `base`: the declarations of a conformance class about its registry
- `comparison`: comparing the families of two collectors
- `children`: work in the child of a fork
- `registration`: the protocol, identity, order, and unregistering
- `conflicts`: names that two collectors would expose
- `lookup`: finding the collector that occupies a name
- `scrape`: snapshots, failing collectors, prefixes, and the round trip through a parser
- `threads`: many threads at once
- `lifecycle`: moves between registries, forks, and `close()`
- `stores`: a store of shards: several processes on one place, their deaths, forks and ends
- `store_rows`: native buckets and start times in a store of shards
- `scraped_families`: the families of a scrape as JSON values
- `store_processes`: the processes of a check of stores
- `distribution`: a plugin as an installed distribution
"""
