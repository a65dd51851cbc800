rule data:
    input:
        source_of,
    output:
        prepared=f"{DATA}/{{dataset}}.npz",
    log:
        f"{DATA}/{{dataset}}.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=4000,
        runtime=120,
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m lasnn data {wildcards.dataset} --log {log:q}"
