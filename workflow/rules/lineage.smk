# Recording in DVC, outside of every rule and after all of them.


onsuccess:
    for preset in PRESETS:
        drop_resume_states(CONFIG.preset(preset))
    record_lineage(PRESETS)
