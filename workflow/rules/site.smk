# A site of what is there, made anew by each call: no rule says which results it needs.


rule site:
    input:
        made_with_site,
    log:
        f"{CONFIG.preset().root}/site.log",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        gpu=0,
        mem_mb=2000,
        runtime=20,
    message:
        "Building the site"
    shell:
        f"python -m lasnn site --preset {CONFIG.preset().name} --log {{log:q}}"
