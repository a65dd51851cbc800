# Recording in DVC, outside of every rule and after all of them; and, behind Snakemake's own last words, Table II.
import atexit

from lasnn.pipeline.last_words import last_words


onsuccess:
    if BUCKET:
        say(buckets.end(BUCKET, CONFIG, PRESETS))
    for preset in () if BUCKET else PRESETS:
        drop_resume_states(CONFIG.preset(preset))
    if not BUCKET and {str(word) for word in workflow.dag_settings.targets} != {"site"}:  # which makes no result
        record_lineage(PRESETS)
    made = [buckets.below(BUCKET, path) for job in workflow.dag.jobs for path in job.output]
    for preset in PRESETS:
        atexit.register(last_words, CONFIG.preset(preset), made, BUCKET, say)
