rule table:
    input:
        metrics=metrics_of,
        paper="lasnn/report/paper.csv",
    output:
        multiext(f"{ROOT}/exhibits/{{exhibit}}", ".csv", ".md", ".tex"),
    wildcard_constraints:
        exhibit=one_of(exhibits_of("tables")),
    params:
        scope=lambda wildcards: CONFIG.preset(wildcards.preset).scope.model_dump_json(),
    log:
        f"{ROOT}/exhibits/{{exhibit}}.log",
    benchmark:
        f"{ROOT}/exhibits/{{exhibit}}.benchmark.tsv"
    conda:
        ENV
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    message:
        "Writing {wildcards.exhibit}"
    shell:
        "{PYTHON} -m lasnn exhibit {output[0]} --log {log}"


rule figure:
    input:
        metrics=metrics_of,
        paper="lasnn/report/paper.csv",
    output:
        multiext(f"{ROOT}/exhibits/{{exhibit}}", ".svg", ".png", ".csv"),
    wildcard_constraints:
        exhibit=one_of(exhibits_of("figures")),
    params:
        scope=lambda wildcards: CONFIG.preset(wildcards.preset).scope.model_dump_json(),
    log:
        f"{ROOT}/exhibits/{{exhibit}}.log",
    benchmark:
        f"{ROOT}/exhibits/{{exhibit}}.benchmark.tsv"
    conda:
        ENV
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    message:
        "Drawing {wildcards.exhibit}"
    shell:
        "{PYTHON} -m lasnn exhibit {output[0]} --log {log}"
