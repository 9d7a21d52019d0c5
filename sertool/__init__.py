"""Speech emotion recognition as small commands that pipe.

A manifest goes in, a richer manifest comes out: `index` looks at folders of audio and writes one row for each clip;
`featurize` adds tensors, stored in shards beside the table; `train`, `eval` and `predict` go on from there. A manifest
is Parquet, so every data-frame library opens it, and the commands meet only in files and pipes:

    sertool index cremad/ | sertool featurize --mel | sertool train -m sertool -o run/ | sertool eval

Where things lie, from the ground up; a module imports only from packages above its own in this list:

    errors, catalogue   errors in one line; what folders of modules offer, read without running them
    system              messages, files, locks, processes, devices
    numeric             signals and figures as arithmetic on arrays
    sound               audio: found, decoded, checked, changed, written
    manifests           tables of clips: columns, formats, provenance
    divisions           splits and folds, and the guard against leaks
    corpora, index      what `index` does, with a file for each corpus
    internet            requests, downloads and archives
    sources, fetch      what `fetch` does, with a file for each kind of publisher
    shipped             the models that come with the package
    networks            layers, classical models, published weights
    encoders            pretrained encoders, a file for each family
    pretraining         how encoders are loaded, and whom they were trained on
    features, effects   what `featurize` computes and `augment` changes, a file for each
    featurize           what `featurize` does
    drawings            pictures of features, sounds and trainings
    augment             what `augment` does
    eval                what `eval` does
    imagenet, models    architectures, a file for each, and what those with ImageNet's weights share
    modelfiles          model files, and the inference that they describe
    predict             what `predict` does
    train               what `train` does
    demonstration       what `demo` does
    cli, options        the command line; commands/ has a file for each command
"""

__version__ = "0.1.0"
