# Recording in DVC, outside of every rule and after all of them; and, behind Snakemake's own last words, Table II.
import atexit

from lasnn.pipeline.last_words import last_words


onsuccess:
    for preset in PRESETS:
        drop_resume_states(CONFIG.preset(preset))
    if {str(word) for word in workflow.dag_settings.targets} != {"site"}:  # which makes no result
        record_lineage(PRESETS)
    for preset in PRESETS:
        atexit.register(
            last_words, CONFIG.preset(preset), [path for job in workflow.dag.jobs for path in job.output], say
        )
