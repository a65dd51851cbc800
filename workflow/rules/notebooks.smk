rule notebook:
    input:
        notebook=ancient(local(f"{HERE}notebooks/{{notebook}}.ipynb")),
        made=notebook_inputs,
    output:
        html=report(
            f"{ROOT}/notebooks/{{notebook}}.html",
            caption="../report/notebook.rst",
            category="Notebooks",
            labels={"notebook": "{notebook}", "preset": "{preset}"},
        ),
    log:
        console=f"{ROOT}/notebooks/{{notebook}}.log",
        executed=f"{ROOT}/notebooks/{{notebook}}.ipynb",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=20,
    message:
        "Executing the notebook {wildcards.notebook}"
    shell:
        "python -m lasnn notebook {output.html:q} --log {log.console:q}"
