# One rule for each kind of run. A job trains and evaluates, so that torch is imported once.

MESSAGES = {
    "ann": "Training the ANN {wildcards.network} on {wildcards.dataset}",
    "converted": "Converting {wildcards.student} on {wildcards.dataset}, {wildcards.encoder} input",
    "snn": "{wildcards.method}: {wildcards.student} on {wildcards.dataset}, {wildcards.encoder} T={wildcards.steps}, "
    "teacher {wildcards.teacher}",
}

for KIND, RUN in KINDS.items():
    FOLDER = f"{ROOT}/{RUN.PATTERN}"

    rule:
        name:
            KIND
        input:
            inputs_of(RUN),
        output:
            **logged(RUN),
            model=f"{FOLDER}/model.pt",
            metrics=f"{FOLDER}/metrics.json",
            predictions=f"{FOLDER}/predictions.npz",
            provenance=f"{FOLDER}/provenance.json",
        log:
            f"{FOLDER}/console.log",
        retries: RETRIES
        conda:
            ENVIRONMENT
        threads: threads_of(RUN)
        resources:
            gpu=CARDS,
            mem_mb=memory_of(RUN),
            runtime=minutes_of(RUN),
        params:
            verb=KIND,  # a command looks up names of this file when its job starts, after the loop
            folder=FOLDER,
            settings=settings_of(RUN),
        message:
            MESSAGES[KIND]
        shell:
            "python -m lasnn {params.verb} {params.folder:q} --settings {params.settings:q} --log {log:q}"
