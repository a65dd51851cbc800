rule data:
    output:
        prepared=DATA + "/{dataset}.npz",
    params:
        source=lambda wildcards: CONFIG.data_params(wildcards.dataset),
    log:
        DATA + "/{dataset}.log",
    benchmark:
        DATA + "/{dataset}.benchmark.tsv"
    conda:
        ENV
    threads: 1
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=120,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "{PYTHON} -m lasnn data {wildcards.dataset} --log {log}"
