"""Speech emotion recognition as small commands that pipe.

A manifest goes in, a richer manifest comes out: `index` looks at folders of audio and writes one row for
each clip; `featurize` adds tensors, stored in shards beside the table. A manifest is Parquet, so every
data-frame library opens it, and the commands meet only in files and pipes:

    sertool index cremad/ | sertool featurize --mel
"""

__version__ = "0.1.0"
