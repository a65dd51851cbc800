# One rule for each kind of run. A job trains and evaluates, so that torch is imported once.


rule ann:
    input:
        inputs_of(AnnRun),
    output:
        **logged(AnnRun),
        model=f"{ROOT}/{AnnRun.PATTERN}/model.pt",
        metrics=f"{ROOT}/{AnnRun.PATTERN}/metrics.json",
        predictions=f"{ROOT}/{AnnRun.PATTERN}/predictions.npz",
        provenance=f"{ROOT}/{AnnRun.PATTERN}/provenance.json",
    log:
        f"{ROOT}/{AnnRun.PATTERN}/console.log",
    retries: RETRIES
    conda:
        ENVIRONMENT
    threads: threads_of(AnnRun)
    resources:
        gpu=CARDS,
        mem_mb=memory_of(AnnRun),
        runtime=minutes_of(AnnRun),
    params:
        folder=f"{ROOT}/{AnnRun.PATTERN}",
        settings=settings_of(AnnRun),
    message:
        "Training the ANN {wildcards.network} on {wildcards.dataset}"
    shell:
        "python -m lasnn ann {params.folder:q} --settings {params.settings:q} --log {log:q}"


rule converted:
    input:
        inputs_of(ConvertedRun),
    output:
        **logged(ConvertedRun),
        model=f"{ROOT}/{ConvertedRun.PATTERN}/model.pt",
        metrics=f"{ROOT}/{ConvertedRun.PATTERN}/metrics.json",
        predictions=f"{ROOT}/{ConvertedRun.PATTERN}/predictions.npz",
        provenance=f"{ROOT}/{ConvertedRun.PATTERN}/provenance.json",
    log:
        f"{ROOT}/{ConvertedRun.PATTERN}/console.log",
    retries: RETRIES
    conda:
        ENVIRONMENT
    threads: threads_of(ConvertedRun)
    resources:
        gpu=CARDS,
        mem_mb=memory_of(ConvertedRun),
        runtime=minutes_of(ConvertedRun),
    params:
        folder=f"{ROOT}/{ConvertedRun.PATTERN}",
        settings=settings_of(ConvertedRun),
    message:
        "Converting {wildcards.student} on {wildcards.dataset}, {wildcards.encoder} input"
    shell:
        "python -m lasnn converted {params.folder:q} --settings {params.settings:q} --log {log:q}"


rule snn:
    input:
        inputs_of(SnnRun),
    output:
        **logged(SnnRun),
        model=f"{ROOT}/{SnnRun.PATTERN}/model.pt",
        metrics=f"{ROOT}/{SnnRun.PATTERN}/metrics.json",
        predictions=f"{ROOT}/{SnnRun.PATTERN}/predictions.npz",
        provenance=f"{ROOT}/{SnnRun.PATTERN}/provenance.json",
    log:
        f"{ROOT}/{SnnRun.PATTERN}/console.log",
    retries: RETRIES
    conda:
        ENVIRONMENT
    threads: threads_of(SnnRun)
    resources:
        gpu=CARDS,
        mem_mb=memory_of(SnnRun),
        runtime=minutes_of(SnnRun),
    params:
        folder=f"{ROOT}/{SnnRun.PATTERN}",
        settings=settings_of(SnnRun),
    message:
        "{wildcards.method}: {wildcards.student} on {wildcards.dataset}, {wildcards.encoder} T={wildcards.steps}, "
        "teacher {wildcards.teacher}"
    shell:
        "python -m lasnn snn {params.folder:q} --settings {params.settings:q} --log {log:q}"
