rule table:
    input:
        sources=sources_of,
        paper=ancient(local(f"{HERE}lasnn/report/paper.csv")),
    output:
        csv=f"{ROOT}/exhibits/{{exhibit}}.csv",
        md=f"{ROOT}/exhibits/{{exhibit}}.md",
        html=report(
            f"{ROOT}/exhibits/{{exhibit}}.html",
            caption="../report/exhibit.rst",
            category="Tables",
            labels={"exhibit": "{exhibit}", "preset": "{preset}"},
        ),
        tex=f"{ROOT}/exhibits/{{exhibit}}.tex",
        sources=f"{ROOT}/exhibits/{{exhibit}}.json",
    log:
        f"{ROOT}/exhibits/{{exhibit}}.log",
    wildcard_constraints:
        exhibit="|".join(names_of(Table)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    message:
        "Writing {wildcards.exhibit}"
    shell:
        "python -m lasnn exhibit {output.csv:q} --log {log:q}"


rule figure:
    input:
        sources=sources_of,
        paper=ancient(local(f"{HERE}lasnn/report/paper.csv")),
    output:
        svg=report(
            f"{ROOT}/exhibits/{{exhibit}}.svg",
            caption="../report/exhibit.rst",
            category="Figures",
            labels={"exhibit": "{exhibit}", "preset": "{preset}"},
        ),
        png=f"{ROOT}/exhibits/{{exhibit}}.png",
        csv=f"{ROOT}/exhibits/{{exhibit}}.csv",
        sources=f"{ROOT}/exhibits/{{exhibit}}.json",
    log:
        f"{ROOT}/exhibits/{{exhibit}}.log",
    wildcard_constraints:
        exhibit="|".join(names_of(Figure)),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=10,
    message:
        "Drawing {wildcards.exhibit}"
    shell:
        "python -m lasnn exhibit {output.csv:q} --log {log:q}"
