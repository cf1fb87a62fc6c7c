"""Live metrics in the terminal: the parts of ``pytheus top``.

The core has no input or output and no clock: readings become rows, rows become lines, keys change a state. The last
group alone knows terminals, threads and ``/proc``.

- `values`: series and their values, from the samples of an exposition
- `incremental`: responses as series, with unchanged parts not parsed again
- `arithmetic`: the difference of two values, and the sum of several
- `history`: the readings of the last minutes, and increases within them
- `quantiles`: quantiles of classic and native buckets
- `quantities`: numbers with units
- `cells`: texts that are harmless in a terminal, and their widths
- `sparkline`: numbers as a line of characters, and as a graph
- `lines`: lines of a screen
- `table`: rows, their order and cells
- `details`: one series or family
- `state`: the view, the cursor and the filter, and how keys change them
- `screen`: the lines of the whole screen
- `plain`: the table as plain text
- `keys`: bytes as keys
- `painter`: lines as bytes
- `terminal`: the terminal, its keys and its signals
- `polling`: the thread that reads the target
- `live`: the loop of the screen
- `processes`: the addresses of a process
"""
