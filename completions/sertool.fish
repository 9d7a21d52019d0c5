# fish completion for sertool. Written by completions/generate.py: change the commands, not this file.

# Whether the line so far names this command ('' for none yet); with a test such as `-ge 2`, of its next argument too.
function __sertool_at
    set -l command ''
    set -l position 1
    set -l skip no
    set -l tokens (commandline -opc)
    for token in $tokens[2..]
        if test $skip = yes
            set skip no
        else if string match -q -- '-?*' $token
            contains -- "$command $token" \
                "fetch --from" \
                "fetch --mirror" \
                "fetch --cache" \
                "fetch -o" "fetch --out" \
                "fetch -j" "fetch --jobs" \
                "index --corpus" \
                "index --pattern" \
                "index --table" \
                "index --group" \
                "index --map" \
                "index --parts" \
                "index --correct" \
                "index --labels" \
                "index --votes" \
                "index --emotions" \
                "index --where" \
                "index --check" \
                "index --update" \
                "index --root" \
                "index --split" \
                "index --folds" \
                "index --protocol" \
                "index -o" "index --out" \
                "index -f" "index --format" \
                "index --seed" \
                "index -j" "index --jobs" \
                "featurize --where" \
                "featurize --root" \
                "featurize --given" \
                "featurize --ssl" \
                "featurize --whisper" \
                "featurize --preset" \
                "featurize --rate" \
                "featurize --channels" \
                "featurize --trim" \
                "featurize --offset" \
                "featurize --seconds" \
                "featurize --fit" \
                "featurize --n-fft" \
                "featurize --hop" \
                "featurize --win-length" \
                "featurize --window" \
                "featurize --edges" \
                "featurize --layers" \
                "featurize --precision" \
                "featurize --weights" \
                "featurize --normalize" \
                "featurize --stats" \
                "featurize --dtype" \
                "featurize --bandwidth-p" \
                "featurize --bandwidth-n-fft" \
                "featurize --bandwidth-hop" \
                "featurize --bandwidth-win-length" \
                "featurize --bandwidth-window" \
                "featurize --bandwidth-edges" \
                "featurize --centroid-n-fft" \
                "featurize --centroid-hop" \
                "featurize --centroid-win-length" \
                "featurize --centroid-window" \
                "featurize --centroid-edges" \
                "featurize --chroma-bins" \
                "featurize --chroma-tuning" \
                "featurize --chroma-n-fft" \
                "featurize --chroma-hop" \
                "featurize --chroma-win-length" \
                "featurize --chroma-window" \
                "featurize --chroma-edges" \
                "featurize --contrast-bands" \
                "featurize --contrast-fmin" \
                "featurize --contrast-quantile" \
                "featurize --contrast-n-fft" \
                "featurize --contrast-hop" \
                "featurize --contrast-win-length" \
                "featurize --contrast-window" \
                "featurize --contrast-edges" \
                "featurize --flatness-n-fft" \
                "featurize --flatness-hop" \
                "featurize --flatness-win-length" \
                "featurize --flatness-window" \
                "featurize --flatness-edges" \
                "featurize --mel-bands" \
                "featurize --mel-n-fft" \
                "featurize --mel-hop" \
                "featurize --mel-win-length" \
                "featurize --mel-window" \
                "featurize --mel-edges" \
                "featurize --mel-fmin" \
                "featurize --mel-fmax" \
                "featurize --mel-norm" \
                "featurize --mel-scale" \
                "featurize --mel-ref" \
                "featurize --mel-top-db" \
                "featurize --mfcc-count" \
                "featurize --mfcc-bands" \
                "featurize --mfcc-lifter" \
                "featurize --mfcc-deltas" \
                "featurize --mfcc-n-fft" \
                "featurize --mfcc-hop" \
                "featurize --mfcc-win-length" \
                "featurize --mfcc-window" \
                "featurize --mfcc-edges" \
                "featurize --mfcc-fmin" \
                "featurize --mfcc-fmax" \
                "featurize --mfcc-norm" \
                "featurize --msf-filters" \
                "featurize --msf-bands" \
                "featurize --msf-fmin" \
                "featurize --msf-fmax" \
                "featurize --msf-modulations" \
                "featurize --msf-lowest" \
                "featurize --msf-q" \
                "featurize --msf-frame-seconds" \
                "featurize --msf-hop-seconds" \
                "featurize --msf-output" \
                "featurize --msf-scale" \
                "featurize --pitch-fmin" \
                "featurize --pitch-fmax" \
                "featurize --pitch-frame-length" \
                "featurize --pitch-hop" \
                "featurize --pitch-n-thresholds" \
                "featurize --pitch-beta-a" \
                "featurize --pitch-beta-b" \
                "featurize --pitch-boltzmann-parameter" \
                "featurize --pitch-resolution" \
                "featurize --pitch-max-transition-rate" \
                "featurize --pitch-switch-prob" \
                "featurize --pitch-no-trough-prob" \
                "featurize --rms-n-fft" \
                "featurize --rms-hop" \
                "featurize --rms-edges" \
                "featurize --rolloff-share" \
                "featurize --rolloff-n-fft" \
                "featurize --rolloff-hop" \
                "featurize --rolloff-win-length" \
                "featurize --rolloff-window" \
                "featurize --rolloff-edges" \
                "featurize --ssl-layers" \
                "featurize --ssl-precision" \
                "featurize --tonnetz-tuning" \
                "featurize --tonnetz-n-fft" \
                "featurize --tonnetz-hop" \
                "featurize --tonnetz-win-length" \
                "featurize --tonnetz-window" \
                "featurize --tonnetz-edges" \
                "featurize --whisper-layers" \
                "featurize --whisper-precision" \
                "featurize --whisper-whole" \
                "featurize --whisper-piece" \
                "featurize --zcr-n-fft" \
                "featurize --zcr-hop" \
                "featurize -o" "featurize --out" \
                "featurize -f" "featurize --format" \
                "featurize --device" \
                "featurize -j" "featurize --jobs" \
                "featurize --seed" \
                "featurize --part" \
                "featurize --values" \
                "featurize --verify" \
                "featurize --plot" \
                "augment --where" \
                "augment --root" \
                "augment --pitch" \
                "augment --tempo" \
                "augment --speed" \
                "augment --impulse" \
                "augment --reverb" \
                "augment --background" \
                "augment --noise" \
                "augment --peak-noise" \
                "augment --high-pass" \
                "augment --low-pass" \
                "augment --band-pass" \
                "augment --band-stop" \
                "augment --clipping" \
                "augment --gain" \
                "augment --codec" \
                "augment --shift" \
                "augment --crop" \
                "augment --splice" \
                "augment --reverb-direct" \
                "augment --background-snr" \
                "augment --noise-colour" \
                "augment --band-pass-octaves" \
                "augment --band-stop-octaves" \
                "augment --codec-kind" \
                "augment --shift-unit" \
                "augment --splice-width" \
                "augment -n" "augment --copies" \
                "augment --recipe" \
                "augment --share" \
                "augment --write" \
                "augment --as" \
                "augment --part" \
                "augment --listen" \
                "augment --plot" \
                "augment -o" "augment --out" \
                "augment -f" "augment --format" \
                "augment --seed" \
                "augment -j" "augment --jobs" \
                "train -m" "train --model" \
                "train --recipe" \
                "train --dimensions" \
                "train --set" \
                "train --layers" \
                "train --tune" \
                "train --weights" \
                "train --features" \
                "train --scale" \
                "train --adapt" \
                "train --prior-clips" \
                "train --select" \
                "train --reduce" \
                "train --teacher" \
                "train --imitate" \
                "train --split" \
                "train --folds" \
                "train --protocol" \
                "train --train-on" \
                "train --test-on" \
                "train --always-train" \
                "train --seeds" \
                "train --epochs" \
                "train --batch" \
                "train --optimizer" \
                "train --lr" \
                "train --weight-decay" \
                "train --momentum" \
                "train --schedule" \
                "train --warmup" \
                "train --plateau-factor" \
                "train --plateau-patience" \
                "train --restart-epochs" \
                "train --restart-factor" \
                "train --smoothing" \
                "train --balance" \
                "train --absent-emotions" \
                "train --clip" \
                "train --clip-value" \
                "train --patience" \
                "train --metric" \
                "train --keep" \
                "train --ema" \
                "train --mixup" \
                "train --mixes" \
                "train --soft" \
                "train --teach" \
                "train --likeness" \
                "train --steady" \
                "train --strangers" \
                "train --time-masks" \
                "train --time-width" \
                "train --column-masks" \
                "train --column-width" \
                "train --mask-share" \
                "train --shift" \
                "train --shift-share" \
                "train --noise" \
                "train --gain" \
                "train --precision" \
                "train --where" \
                "train --root" \
                "train -o" "train --out" \
                "train -f" "train --format" \
                "train --device" \
                "train -j" "train --jobs" \
                "train --seed" \
                "train --pack" \
                "eval --truth" \
                "eval --predicted" \
                "eval --dimensions" \
                "eval --speaker" \
                "eval --split" \
                "eval --map" \
                "eval --where" \
                "eval --by" \
                "eval --resamples" \
                "eval --baseline" \
                "eval --min-uar" \
                "eval --min-ccc" \
                "eval -o" "eval --out" \
                "eval -f" "eval --format" \
                "eval --plot" \
                "eval --plot-format" \
                "eval --html" \
                "eval --seed" \
                "predict --window" \
                "predict --hop" \
                "predict --pauses" \
                "predict --channel" \
                "predict --silence" \
                "predict --trim" \
                "predict --adapt" \
                "predict --speakers" \
                "predict --enroll" \
                "predict --threshold" \
                "predict --top" \
                "predict --speeds" \
                "predict -m" "predict --model" \
                "predict --weights" \
                "predict --fold" \
                "predict --root" \
                "predict -o" "predict --out" \
                "predict -f" "predict --format" \
                "predict --device" \
                "predict -j" "predict --jobs" \
                "demo -o" "demo --out" \
                "demo --seed"
            and set skip yes
        else if test -z $command
            set command $token
        else
            set position (math $position + 1)
        end
    end
    test "$command" = "$argv[1]"
    and begin
        not set -q argv[2]
        or test $position $argv[2] $argv[3]
    end
end

# The words after what stands before the last comma.
function __sertool_many
    set -l before (commandline -ct | string replace -r -- '^--[^=]*=' '' | string match -r '.*,')
    or set before ''
    for word in $argv
        string match -q -- "*,"(string split -f 1 -- \t $word)",*" ",$before"
        or echo $before$word
    end
end

complete -c sertool -f
complete -c sertool -n '__sertool_at "" -eq 1' -a fetch -d 'Download corpora from their public sources, checked and unpacked'
complete -c sertool -n '__sertool_at "" -eq 1' -a index -d 'Look at folders of audio and write a manifest with one row per clip'
complete -c sertool -n '__sertool_at "" -eq 1' -a featurize -d 'Compute features of the clips in a manifest and store them in shards'
complete -c sertool -n '__sertool_at "" -eq 1' -a augment -d 'Append augmented copies to a manifest, for featurize to make, or write them as audio'
complete -c sertool -n '__sertool_at "" -eq 1' -a train -d 'Train a model on a featurized manifest and predict the clips that were held out'
complete -c sertool -n '__sertool_at "" -eq 1' -a eval -d 'Score predictions, with intervals, and compare runs'
complete -c sertool -n '__sertool_at "" -eq 1' -a predict -d 'Predict the emotion of audio files, folders and calls with a trained model'
complete -c sertool -n '__sertool_at "" -eq 1' -a demo -d 'Show the whole pipe on a small corpus of synthesised voices'
complete -c sertool -n '__sertool_at ""' -s V -l version -d 'Show the version and exit.'
complete -c sertool -n '__sertool_at ""' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at fetch' -l from -r -F -d 'Take this archive, of a corpus that is given on request; several if it came in parts.'
complete -c sertool -n '__sertool_at fetch' -l mirror -r -f -d 'Ask here first: a cache of sertool that is served (http, https, file) or lies in a folder.'
complete -c sertool -n '__sertool_at fetch' -l cache -r -f -a '(__fish_complete_directories)' -d 'Keep downloads here rather than in the usual cache.'
complete -c sertool -n '__sertool_at fetch' -l no-cache -d 'Keep no downloads once they are unpacked.'
complete -c sertool -n '__sertool_at fetch' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Put each corpus into a folder of its own in this one. [default: corpora]'
complete -c sertool -n '__sertool_at fetch' -l accept-license -l accept-licence -d 'Accept the licences without being asked, for scripts.'
complete -c sertool -n '__sertool_at fetch' -s j -l jobs -r -f -d 'Connections at once. [default: 8; 1 to 64]'
complete -c sertool -n '__sertool_at fetch' -l dry-run -d 'Say what would be done, and do nothing.'
complete -c sertool -n '__sertool_at fetch' -l wait -d 'Wait for another sertool that writes to the same place.'
complete -c sertool -n '__sertool_at fetch' -l list -d 'Show what can be fetched, or all about NAME, and stop.'
complete -c sertool -n '__sertool_at fetch' -l cite -d 'Print BibTeX for the corpora, and stop.'
complete -c sertool -n '__sertool_at fetch' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at fetch' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at fetch' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at fetch -ge 1' -f -a 'asvpesd\\t\'Audio, Speech and Vision Processing Lab Emotional Sound database (ASVP-ESD)\' cafe\\t\'Canadian French Emotional speech dataset (CaFE)\' cremad\\t\'Crowd-sourced Emotional Multimodal Actors Dataset (CREMA-D)\' emodb\\t\'Berlin Database of Emotional Speech (EMO-DB)\' emovdb\\t\'Emotional Voices Database (EmoV-DB)\' emovo\\t\'EMOVO: an Italian Emotional Speech Database\' esd\\t\'Emotional Speech Dataset (ESD)\' iemocap\\t\'Interactive Emotional Dyadic Motion Capture database (IEMOCAP)\' jl\\t\'JL corpus\' meld\\t\'Multimodal EmotionLines Dataset (MELD)\' mspimprov\\t\'MSP-IMPROV: acted corpus of dyadic interactions\' msppodcast\\t\'MSP-Podcast corpus\' ravdess\\t\'Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)\' ravdess-song\\t\'Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), song\' savee\\t\'Surrey Audio-Visual Expressed Emotion database (SAVEE)\' shemo\\t\'Sharif Emotional Speech Database (ShEMO)\' subesco\\t\'SUST Bangla Emotional Speech Corpus (SUBESCO)\' tess\\t\'Toronto Emotional Speech Set (TESS)\' urdu\\t\'URDU dataset\''
complete -c sertool -n '__sertool_at index' -l corpus -r -f -a 'asvpesd cafe cremad emodb emovdb emovo esd iemocap jl meld mspimprov msppodcast ravdess savee shemo subesco tess urdu' -d 'Take the files for this corpus; with --pattern or --table any name of your own.'
complete -c sertool -n '__sertool_at index' -l pattern -r -f -d 'How paths end, such as \'{speaker}_{sentence}_{emotion}.wav\'; {} is anything. Of several, the first that a file matches reads it.'
complete -c sertool -n '__sertool_at index' -l table -r -f -d 'Labels by path: CSV, TSV, JSON Lines or Parquet, or RTTM, which tells who speaks when; PART is train, dev or test.'
complete -c sertool -n '__sertool_at index' -l group -r -f -a parent-folder -d 'Speakers are the folders that the files lie in, or those above a folder for each emotion.'
complete -c sertool -n '__sertool_at index' -l map -r -f -d 'What labels or folders mean: ps=surprise,Wut=angry; furious=furious keeps a word of your own, and X= means no emotion.'
complete -c sertool -n '__sertool_at index' -l parts -r -f -d 'What a split\'s names mean: Test1=test,Test2=dev; PART is train, dev or test. Clips of other names are in no part.'
complete -c sertool -n '__sertool_at index' -l correct -r -F -d 'A table of what to correct of some clips, such as emotions, by clip or path, or of all clips of some speakers, such as their split; others stay.'
complete -c sertool -n '__sertool_at index' -l labels -r -f -a 'intended perceived soft' -d 'Emotions as acted, as most listeners heard them, or their votes\' shares as well. [default: intended]'
complete -c sertool -n '__sertool_at index' -l votes -r -f -a 'voice face both' -d 'With --labels, what the listeners had: the voice alone, the face, or both. [default: voice]'
complete -c sertool -n '__sertool_at index' -l emotions -r -f -a '(__sertool_many neutral calm happy sad angry fear disgust surprise contempt boredom sleepy amused anxious apologetic assertive concerned encouraging excited frustrated pain pleasure disappointed)' -d 'Keep only these emotions.'
complete -c sertool -n '__sertool_at index' -l where -r -f -a '\'clip=\'\\t\'unique, stable name: corpus/stem; a copy is parent#k\' \'path=\'\\t\'the audio file\' \'start=\'\\t\'where the clip starts in the file, in seconds\' \'duration=\'\\t\'how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff\' \'corpus=\'\\t\'the corpus it belongs to\' \'speaker=\'\\t\'who speaks, qualified by the corpus: cremad:1001; null when unknown\' \'sex=\'\\t\'female or male\' \'age=\'\\t\'in years; bands such as 20-29 become a column age_band\' \'race=\'\\t\'as the corpus has it\' \'ethnicity=\'\\t\'as the corpus has it\' \'language=\'\\t\'ISO 639-1 code\' \'emotion=\'\\t\'canonical word, as listed below, or one of your own (--map)\' \'label=\'\\t\'the corpus\\\' own code for it\' \'intensity=\'\\t\'low, medium or high\' \'sentence=\'\\t\'identity or text of what was said\' \'style=\'\\t\'speech, song or non-speech; scripted, improvised, read or natural\' \'arousal=\'\\t\'how active the voice is, also called activation, in the corpus\\\' own scale\' \'valence=\'\\t\'how pleasant what it expresses is, in that scale\' \'dominance=\'\\t\'how much in control the speaker is, in that scale\' \'sample_rate=\'\\t\'of the file, in Hz\' \'channels=\'\\t\'in the file\' \'samples=\'\\t\'in each channel of the file\' \'digest=\'\\t\'of the decoded sound: equal samples have equal digests, in any bit depth\' \'size=\'\\t\'of the file, in bytes\' \'modified=\'\\t\'when the file last changed, in nanoseconds\' \'issue=\'\\t\'null, or why the clip is unusable; such clips are skipped\' \'notes=\'\\t\'what is odd but usable\' \'split=\'\\t\'train, dev or test, once decided\' \'fold=\'\\t\'the fold that holds it out, once decided\' \'parent=\'\\t\'the clip that a copy was made from\' \'augmentation=\'\\t\'the drawn numbers of a copy, as JSON\' \'seed=\'\\t\'what they were drawn with; of a prediction, the seed of the training\' \'run=\'\\t\'the run that predicted\' \'predicted=\'\\t\'the most probable emotion\' \'confidence=\'\\t\'its probability\'' -d 'Keep rows for which COLUMN=VALUE holds, such as \'corpus=cremad|tess and age>=40\'; also != < <= > >=, ~ for a regular expression, and = with nothing behind it for an empty cell.'
complete -c sertool -n '__sertool_at index' -l check -r -f -a 'none header full' -d 'How closely files are looked at: not at all, their headers, or every sample. [default: full]'
complete -c sertool -n '__sertool_at index' -l update -r -F -d 'Look only at files that are new or changed since. Its own --corpus to --emotions and --where apply unless given again; speakers keep their split, clips what stands in columns of your own.'
complete -c sertool -n '__sertool_at index' -l root -r -f -a '(__fish_complete_directories)' -d 'Where the audio of a manifest lies now, if it moved.'
complete -c sertool -n '__sertool_at index' -s 0 -l null -d 'Paths on stdin end with NUL, as of `find -print0`.'
complete -c sertool -n '__sertool_at index' -l split -r -f -a 'speaker sentence speaker+sentence loso cremad-nk cremad-blocks ravdess-emobox ravdess-luna tess-cross iemocap-sessions mspimprov-sessions msppodcast-published meld-published random random-80-20 random-70-30 random-60-20-20 random-70-15-15 random-92-8-leaky-copies' -d 'speaker:70/15/15, sentence:80/20, speaker+sentence, or a protocol\'s name.'
complete -c sertool -n '__sertool_at index' -l folds -r -f -d 'K folds that share no speaker. [2 to 1000]'
complete -c sertool -n '__sertool_at index' -l protocol -r -f -a 'speaker sentence speaker+sentence loso cremad-nk cremad-blocks ravdess-emobox ravdess-luna tess-cross iemocap-sessions mspimprov-sessions msppodcast-published meld-published random random-80-20 random-70-30 random-60-20-20 random-70-15-15 random-92-8-leaky-copies' -d 'A published split or set of folds: speaker, sentence, speaker+sentence, loso, cremad-nk, cremad-blocks, ravdess-emobox, ravdess-luna, tess-cross, iemocap-sessions, mspimprov-sessions, msppodcast-published, meld-published, random, random-80-20, random-70-30, random-60-20-20, random-70-15-15, random-92-8-leaky-copies.'
complete -c sertool -n '__sertool_at index' -l audit -d 'Say whether speakers, equal or overlapping sounds, copies or sentences cross the splits; exit 1 on a leak.'
complete -c sertool -n '__sertool_at index' -l strict-sentences -d 'With --audit: shared sentences are a leak too.'
complete -c sertool -n '__sertool_at index' -s o -l out -r -F -d 'Write the manifest to this file rather than to stdout.'
complete -c sertool -n '__sertool_at index' -s f -l format -r -f -a 'parquet csv tsv jsonl table' -d 'Format of the manifest. [default: by the extension of -o, else Parquet in a pipe and a table on a terminal]'
complete -c sertool -n '__sertool_at index' -l seed -r -f -d 'Seed of all random choices; some protocols have their own. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at index' -s j -l jobs -r -f -d 'Threads. [default: one for each core] [1 to 512]'
complete -c sertool -n '__sertool_at index' -l strict -d 'Fail (exit 1) if any clip is set aside or a folder cannot be read.'
complete -c sertool -n '__sertool_at index' -l dry-run -d 'Say what would be done, and do nothing.'
complete -c sertool -n '__sertool_at index' -l list -d 'Show the corpora that are recognised, the protocols, what the columns of a manifest and the words in issue and notes mean, and stop.'
complete -c sertool -n '__sertool_at index' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at index' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at index' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at index -ge 1' -F
complete -c sertool -n '__sertool_at featurize' -l where -r -f -a '\'clip=\'\\t\'unique, stable name: corpus/stem; a copy is parent#k\' \'path=\'\\t\'the audio file\' \'start=\'\\t\'where the clip starts in the file, in seconds\' \'duration=\'\\t\'how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff\' \'corpus=\'\\t\'the corpus it belongs to\' \'speaker=\'\\t\'who speaks, qualified by the corpus: cremad:1001; null when unknown\' \'sex=\'\\t\'female or male\' \'age=\'\\t\'in years; bands such as 20-29 become a column age_band\' \'race=\'\\t\'as the corpus has it\' \'ethnicity=\'\\t\'as the corpus has it\' \'language=\'\\t\'ISO 639-1 code\' \'emotion=\'\\t\'canonical word, as listed below, or one of your own (--map)\' \'label=\'\\t\'the corpus\\\' own code for it\' \'intensity=\'\\t\'low, medium or high\' \'sentence=\'\\t\'identity or text of what was said\' \'style=\'\\t\'speech, song or non-speech; scripted, improvised, read or natural\' \'arousal=\'\\t\'how active the voice is, also called activation, in the corpus\\\' own scale\' \'valence=\'\\t\'how pleasant what it expresses is, in that scale\' \'dominance=\'\\t\'how much in control the speaker is, in that scale\' \'sample_rate=\'\\t\'of the file, in Hz\' \'channels=\'\\t\'in the file\' \'samples=\'\\t\'in each channel of the file\' \'digest=\'\\t\'of the decoded sound: equal samples have equal digests, in any bit depth\' \'size=\'\\t\'of the file, in bytes\' \'modified=\'\\t\'when the file last changed, in nanoseconds\' \'issue=\'\\t\'null, or why the clip is unusable; such clips are skipped\' \'notes=\'\\t\'what is odd but usable\' \'split=\'\\t\'train, dev or test, once decided\' \'fold=\'\\t\'the fold that holds it out, once decided\' \'parent=\'\\t\'the clip that a copy was made from\' \'augmentation=\'\\t\'the drawn numbers of a copy, as JSON\' \'seed=\'\\t\'what they were drawn with; of a prediction, the seed of the training\' \'run=\'\\t\'the run that predicted\' \'predicted=\'\\t\'the most probable emotion\' \'confidence=\'\\t\'its probability\'' -d 'Keep rows for which COLUMN=VALUE holds, such as \'corpus=cremad|tess and age>=40\'; also != < <= > >=, ~ for a regular expression, and = with nothing behind it for an empty cell.'
complete -c sertool -n '__sertool_at featurize' -l root -r -f -a '(__fish_complete_directories)' -d 'Where the audio of a manifest lies now, if it moved.'
complete -c sertool -n '__sertool_at featurize' -s 0 -l null -d 'Paths on stdin end with NUL, as of `find -print0`.'
complete -c sertool -n '__sertool_at featurize' -l bandwidth -d 'Spectral bandwidth: how far the spectrum spreads around its centroid, in Hz.'
complete -c sertool -n '__sertool_at featurize' -l centroid -d 'Spectral centroid: the centre of gravity of the spectrum in Hz.'
complete -c sertool -n '__sertool_at featurize' -l chroma -d 'Chroma: the power in each pitch class, C first, the greatest of a frame being one.'
complete -c sertool -n '__sertool_at featurize' -l contrast -d 'Spectral contrast: how far the peaks of each octave stand above its valleys, in dB.'
complete -c sertool -n '__sertool_at featurize' -l flatness -d 'Spectral flatness: geometric over arithmetic mean of the power, 1 for white noise, near 0 for a tone.'
complete -c sertool -n '__sertool_at featurize' -l given -r -F -d 'Features that another program made, stored as given or given_NAME (repeatable): a table (CSV, TSV, JSON Lines or Parquet) with a column of clips or paths and columns of numbers, in a row for each clip or, with a column start, for each frame or part; or .npz or .safetensors with an array for each clip. Clips without a row are set aside. --normalize and --stats apply to frames only.'
complete -c sertool -n '__sertool_at featurize' -l mel -d 'Log-mel spectrogram: the power in bands spaced as hearing spaces them.'
complete -c sertool -n '__sertool_at featurize' -l mfcc -d 'Mel-frequency cepstral coefficients: the shape of the log-mel spectrum, coarse to fine.'
complete -c sertool -n '__sertool_at featurize' -l msf -d 'Modulation spectral features: how fast the loudness of each band of hearing comes and goes.'
complete -c sertool -n '__sertool_at featurize' -l pitch -d 'Pitch: f0 in Hz (0 where unvoiced), whether and how surely voiced.'
complete -c sertool -n '__sertool_at featurize' -l rms -d 'Root mean square: a frame\'s loudness as an amplitude.'
complete -c sertool -n '__sertool_at featurize' -l rolloff -d 'Spectral roll-off: the frequency in Hz below which most of the spectrum lies.'
complete -c sertool -n '__sertool_at featurize' -l ssl -r -f -a 'wav2vec2-base wav2vec2-large wav2vec2-large-lv60k xlsr-53 xlsr-300m xlsr-1b xlsr-2b hubert-base hubert-large hubert-xlarge wavlm-base wavlm-base-plus wavlm-large' -d 'Layers of a self-supervised pretrained encoder, 50 frames a second (wav2vec 2.0, XLSR, HuBERT or WavLM).'
complete -c sertool -n '__sertool_at featurize' -l tonnetz -d 'Tonnetz: the tonal centroid, where a frame lies on the circles of fifths and of minor and major thirds.'
complete -c sertool -n '__sertool_at featurize' -l wave -d 'The waveform itself, as 16-bit samples.'
complete -c sertool -n '__sertool_at featurize' -l whisper -r -f -a 'tiny base small medium large-v3' -d 'Layers of Whisper\'s pretrained encoder, 50 frames a second (tiny, base, small, medium or large-v3).'
complete -c sertool -n '__sertool_at featurize' -l zcr -d 'Zero-crossing rate: the share of the samples of a frame where the sign changes.'
complete -c sertool -n '__sertool_at featurize' -l preset -r -f -a 'mel-min-max mfcc-128 clstm classic-1d mel-30 msf-mfcc imagenet acnt mel-64 whisper-stats base whisper-0 whisper-2' -d 'Features and settings of a published system, or of ours (see --list); other options override it.'
complete -c sertool -n '__sertool_at featurize' -l rate -r -f -d 'Sample rate in Hz; the audio is resampled to it. [default: 16000; 1000 to 384000]'
complete -c sertool -n '__sertool_at featurize' -l channels -r -f -a 'mono left stereo' -d 'Mean of the channels, the left one, or two (a mono file\'s is copied). [default: mono]'
complete -c sertool -n '__sertool_at featurize' -l remove-dc -l no-remove-dc -d 'Subtract the clip\'s mean. [default: false]'
complete -c sertool -n '__sertool_at featurize' -l trim -r -f -d 'Drop silent ends, of copies after their effects: what lies so many dB below the loudest frame. [1 to 200]'
complete -c sertool -n '__sertool_at featurize' -l offset -r -f -d 'Skip so many seconds at the start. [default: 0; 0 to 10800]'
complete -c sertool -n '__sertool_at featurize' -l seconds -r -f -d 'Cut, or pad with zeros, to this length. [0.001 to 10800]'
complete -c sertool -n '__sertool_at featurize' -l fit -r -f -a 'start middle random' -d 'With --seconds: which part of a longer clip is kept; where a shorter lies. [default: start]'
complete -c sertool -n '__sertool_at featurize' -l n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l center -l no-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l layers -r -f -d 'Layers, such as 3, 1-5 or 0,2-4, or all; nothing is computed beyond the last. [default: all]'
complete -c sertool -n '__sertool_at featurize' -l precision -r -f -a 'auto bf16 int8 float32' -d 'Of matrix products; auto is bf16 where the processor has it, int8 is faster and less exact. [default: auto]'
complete -c sertool -n '__sertool_at featurize' -l weights -r -F -a base -d 'Weights of the encoder: a checkpoint, safetensors, a model file of `train --pack` (`train` then refuses to hold out speakers on whom that encoder was trained), or base: the package\'s model, four blocks of Whisper base trained to be robust to noise (--layers 0-4). [default: fetched once into $SERTOOL_CACHE or ~/.cache/sertool]'
complete -c sertool -n '__sertool_at featurize' -l normalize -r -f -a '(__sertool_many min-max z-score z-score-columns mean-columns peak)' -d 'Normalise each clip\'s rows: min-max, z-score, z-score-columns, mean-columns, peak, one after another; of pitch, the voiced frames.'
complete -c sertool -n '__sertool_at featurize' -l stats -r -f -a '(__sertool_many mean std min max range median iqr q05 q25 q75 q95 skew kurtosis slope)' -d 'Keep only statistics over time: mean, std, min, max, range, median, iqr, q05, q25, q75, q95, skew, kurtosis, slope (per frame); of pitch, over voiced frames. Kurtosis is 0 for a normal distribution and -3 for a constant.'
complete -c sertool -n '__sertool_at featurize' -l dtype -r -f -a 'float16 float32' -d 'Type of the stored numbers. [default: as each feature needs; float32 for statistics]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-p -r -f -d 'Power of the distances that are averaged: 2 is a standard deviation. [default: 2; 0.1 to 10]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-center -l no-bandwidth-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l bandwidth-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l centroid-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l centroid-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l centroid-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l centroid-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l centroid-center -l no-centroid-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l centroid-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l chroma-bins -r -f -d 'Pitch classes in an octave. [default: 12; 1 to 120]'
complete -c sertool -n '__sertool_at featurize' -l chroma-tuning -r -f -d 'Of the pitch classes, in parts of one. [default: each clip\'s own; -0.5 to 0.5]'
complete -c sertool -n '__sertool_at featurize' -l chroma-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l chroma-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l chroma-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l chroma-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l chroma-center -l no-chroma-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l chroma-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l contrast-bands -r -f -d 'Octaves above the lowest band; only as many as begin below half the rate. [default: 6; 1 to 16]'
complete -c sertool -n '__sertool_at featurize' -l contrast-fmin -r -f -d 'Where the lowest band ends and the octaves begin, in Hz. [default: 200; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l contrast-quantile -r -f -d 'Part of a band\'s bins that are its peaks, and its valleys. [default: 0.02; 0.001 to 0.5]'
complete -c sertool -n '__sertool_at featurize' -l contrast-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l contrast-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l contrast-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l contrast-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l contrast-center -l no-contrast-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l contrast-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l flatness-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l flatness-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l flatness-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l flatness-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l flatness-center -l no-flatness-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l flatness-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l mel-bands -r -f -d 'Number of mel bands. [default: 128; 1 to 1024]'
complete -c sertool -n '__sertool_at featurize' -l mel-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l mel-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mel-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mel-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l mel-center -l no-mel-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l mel-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l mel-fmin -r -f -d 'Lowest frequency in Hz. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at featurize' -l mel-fmax -r -f -d 'Highest frequency in Hz. [default: half the rate; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mel-htk -l no-mel-htk -d 'HTK\'s mel scale rather than Slaney\'s. [default: false]'
complete -c sertool -n '__sertool_at featurize' -l mel-norm -r -f -a 'slaney none' -d 'Each triangle\'s area is one, or its peak. [default: slaney]'
complete -c sertool -n '__sertool_at featurize' -l mel-scale -r -f -a 'db log power' -d 'Decibels, natural logarithm, or the power itself. [default: db]'
complete -c sertool -n '__sertool_at featurize' -l mel-ref -r -f -a 'one max' -d '0 dB is a power of one, or the clip\'s loudest band. [default: one]'
complete -c sertool -n '__sertool_at featurize' -l mel-top-db -r -f -d 'How far below the clip\'s maximum values may lie, in dB. [default: 80; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-count -r -f -d 'Number of coefficients. [default: 20; 1 to 1024]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-bands -r -f -d 'Number of mel bands. [default: 128; 1 to 1024]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-lifter -r -f -d 'Weight the coefficients by a sine of this many (0: don\'t). [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-deltas -r -f -a '0 1 2' -d 'Add their slopes over 9 frames, or slopes and bends. [default: 0]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-center -l no-mfcc-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-fmin -r -f -d 'Lowest frequency in Hz. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-fmax -r -f -d 'Highest frequency in Hz. [default: half the rate; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-htk -l no-mfcc-htk -d 'HTK\'s mel scale rather than Slaney\'s. [default: false]'
complete -c sertool -n '__sertool_at featurize' -l mfcc-norm -r -f -a 'slaney none' -d 'Each triangle\'s area is one, or its peak. [default: slaney]'
complete -c sertool -n '__sertool_at featurize' -l msf-filters -r -f -a 'gammatone mel' -d 'Gammatone filters, or bells on the mel scale. [default: gammatone]'
complete -c sertool -n '__sertool_at featurize' -l msf-bands -r -f -d 'Number of bands. [default: 19; 2 to 128]'
complete -c sertool -n '__sertool_at featurize' -l msf-fmin -r -f -d 'Centre of the lowest band in Hz. [default: 125; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l msf-fmax -r -f -d 'Centre of the highest band in Hz. [default: 3500; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l msf-modulations -r -f -d 'Number of modulation band-passes, an octave apart. [default: 5; 2 to 12]'
complete -c sertool -n '__sertool_at featurize' -l msf-lowest -r -f -d 'Centre of the lowest modulation band-pass in Hz. [default: 4; 0.1 to 100]'
complete -c sertool -n '__sertool_at featurize' -l msf-q -r -f -d 'Centre of a modulation band-pass over its width. [default: 2; 0.5 to 100]'
complete -c sertool -n '__sertool_at featurize' -l msf-frame-seconds -r -f -d 'Seconds in a frame. [default: 0.256; 0.01 to 10]'
complete -c sertool -n '__sertool_at featurize' -l msf-hop-seconds -r -f -d 'Seconds from one frame to the next. [default: 0.064; 0.001 to 10]'
complete -c sertool -n '__sertool_at featurize' -l msf-output -r -f -a 'both energies measures' -d 'Energies, what is measured of them, or both. [default: both]'
complete -c sertool -n '__sertool_at featurize' -l msf-scale -r -f -a 'energy unit db' -d 'Mean squares, parts of the frame\'s sum, or decibels. [default: energy]'
complete -c sertool -n '__sertool_at featurize' -l pitch-fmin -r -f -d 'Lowest pitch in Hz. [default: 65; 10 or more]'
complete -c sertool -n '__sertool_at featurize' -l pitch-fmax -r -f -d 'Highest pitch in Hz. [default: 600; 10 or more]'
complete -c sertool -n '__sertool_at featurize' -l pitch-frame-length -r -f -d 'Samples in a frame: two periods of the lowest pitch or more. [default: 2048; 64 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l pitch-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l pitch-center -l no-pitch-center -d 'Centre frames on their time, with zeros beyond the ends. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l pitch-n-thresholds -r -f -d 'Thresholds that a period\'s difference is held against. [default: 100; 1 to 1000]'
complete -c sertool -n '__sertool_at featurize' -l pitch-beta-a -r -f -d 'First parameter of the thresholds\' beta distribution. [default: 2; 1 to 100]'
complete -c sertool -n '__sertool_at featurize' -l pitch-beta-b -r -f -d 'Second parameter; the mean threshold is a / (a + b). [default: 18; 1 to 100]'
complete -c sertool -n '__sertool_at featurize' -l pitch-boltzmann-parameter -r -f -d 'How much the shorter of several periods is preferred. [default: 2; 0.01 to 100]'
complete -c sertool -n '__sertool_at featurize' -l pitch-resolution -r -f -d 'Semitones from one pitch to the next. [default: 0.1; 0.01 to 1]'
complete -c sertool -n '__sertool_at featurize' -l pitch-max-transition-rate -r -f -d 'Octaves a second that pitch may move. [default: 35.92; 0.1 to 1000]'
complete -c sertool -n '__sertool_at featurize' -l pitch-switch-prob -r -f -d 'Probability that voicing begins or ends from one frame to the next. [default: 0.01; 0 to 1]'
complete -c sertool -n '__sertool_at featurize' -l pitch-no-trough-prob -r -f -d 'Part of the mass for the best period where none is below a threshold. [default: 0.01; 0 to 1]'
complete -c sertool -n '__sertool_at featurize' -l rms-n-fft -r -f -d 'Samples in a frame. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l rms-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l rms-center -l no-rms-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l rms-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-share -r -f -d 'Part of the summed magnitudes that lies below. [default: 0.85; 0.01 to 0.99]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-center -l no-rolloff-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l rolloff-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l ssl-layers -r -f -d 'Layers, such as 3, 1-5 or 0,2-4, or all; nothing is computed beyond the last. [default: all]'
complete -c sertool -n '__sertool_at featurize' -l ssl-precision -r -f -a 'auto bf16 int8 float32' -d 'Of matrix products; auto is bf16 where the processor has it, int8 is faster and less exact. [default: auto]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-tuning -r -f -d 'Of the pitch classes, in parts of one. [default: each clip\'s own; -0.5 to 0.5]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-n-fft -r -f -d 'Samples in a frame and its transform. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-win-length -r -f -d 'Samples under the window. [default: n_fft; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-window -r -f -a 'hann hamming blackman ones' -d 'Window over a frame. [default: hann]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-center -l no-tonnetz-center -d 'Centre frames on their time, with the ends extended. [default: true]'
complete -c sertool -n '__sertool_at featurize' -l tonnetz-edges -r -f -a 'zeros reflect' -d 'What lies beyond the ends. [default: zeros]'
complete -c sertool -n '__sertool_at featurize' -l whisper-layers -r -f -d 'Layers, such as 3, 1-5 or 0,2-4, or all; nothing is computed beyond the last. [default: all]'
complete -c sertool -n '__sertool_at featurize' -l whisper-precision -r -f -a 'auto bf16 int8 float32' -d 'Of matrix products; auto is bf16 where the processor has it, int8 is faster and less exact. [default: auto]'
complete -c sertool -n '__sertool_at featurize' -l whisper-whole -r -f -d 'Clips of up to this many seconds are encoded at once. [default: 5; 1 to 30]'
complete -c sertool -n '__sertool_at featurize' -l whisper-piece -r -f -d 'Longer clips are encoded in overlapping pieces of this many seconds. [default: 3; 1 to 30]'
complete -c sertool -n '__sertool_at featurize' -l zcr-n-fft -r -f -d 'Samples in a frame. [default: 2048; 16 to 65536]'
complete -c sertool -n '__sertool_at featurize' -l zcr-hop -r -f -d 'Samples from one frame to the next. [default: 512; 1 or more]'
complete -c sertool -n '__sertool_at featurize' -l zcr-center -l no-zcr-center -d 'Centre frames on their time, with the ends held. [default: true]'
complete -c sertool -n '__sertool_at featurize' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Folder for the shards and manifest.parquet. [default: features]'
complete -c sertool -n '__sertool_at featurize' -s f -l format -r -f -a 'parquet csv tsv jsonl table' -d 'Format of the manifest. [default: Parquet in a pipe and a table on a terminal]'
complete -c sertool -n '__sertool_at featurize' -l device -r -f -a 'auto cpu cuda mps' -d 'Where to compute. [default: auto]'
complete -c sertool -n '__sertool_at featurize' -s j -l jobs -r -f -d 'Threads. [default: one for each core] [1 to 512]'
complete -c sertool -n '__sertool_at featurize' -l seed -r -f -d 'Seed of all random choices. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at featurize' -l part -r -f -d 'Make only the k-th of n shares of the shards, for job arrays; a shard has 1,024 clips or fewer.'
complete -c sertool -n '__sertool_at featurize' -l values -r -F -d 'With --stats, write them as a table, too: a row for each clip, a column for each statistic. The name says the format: .csv, .tsv, .jsonl or .parquet.'
complete -c sertool -n '__sertool_at featurize' -l overwrite -d 'Replace shards made with other settings, and shards and a manifest of other clips.'
complete -c sertool -n '__sertool_at featurize' -l verify -r -f -d 'Compute N clips again the slow way, and say how well the shards agree. [1 or more]'
complete -c sertool -n '__sertool_at featurize' -l plot -r -F -d 'Draw the first clip and its features, and store nothing.'
complete -c sertool -n '__sertool_at featurize' -l list -d 'Show all features, encoders and presets, and stop.'
complete -c sertool -n '__sertool_at featurize' -l strict -d 'Fail (exit 1) if any clip is set aside or a folder cannot be read.'
complete -c sertool -n '__sertool_at featurize' -l dry-run -d 'Say what would be done, and do nothing.'
complete -c sertool -n '__sertool_at featurize' -l wait -d 'Wait for another sertool that writes to the same place.'
complete -c sertool -n '__sertool_at featurize' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at featurize' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at featurize' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at featurize -ge 1' -F
complete -c sertool -n '__sertool_at augment' -l where -r -f -a '\'clip=\'\\t\'unique, stable name: corpus/stem; a copy is parent#k\' \'path=\'\\t\'the audio file\' \'start=\'\\t\'where the clip starts in the file, in seconds\' \'duration=\'\\t\'how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff\' \'corpus=\'\\t\'the corpus it belongs to\' \'speaker=\'\\t\'who speaks, qualified by the corpus: cremad:1001; null when unknown\' \'sex=\'\\t\'female or male\' \'age=\'\\t\'in years; bands such as 20-29 become a column age_band\' \'race=\'\\t\'as the corpus has it\' \'ethnicity=\'\\t\'as the corpus has it\' \'language=\'\\t\'ISO 639-1 code\' \'emotion=\'\\t\'canonical word, as listed below, or one of your own (--map)\' \'label=\'\\t\'the corpus\\\' own code for it\' \'intensity=\'\\t\'low, medium or high\' \'sentence=\'\\t\'identity or text of what was said\' \'style=\'\\t\'speech, song or non-speech; scripted, improvised, read or natural\' \'arousal=\'\\t\'how active the voice is, also called activation, in the corpus\\\' own scale\' \'valence=\'\\t\'how pleasant what it expresses is, in that scale\' \'dominance=\'\\t\'how much in control the speaker is, in that scale\' \'sample_rate=\'\\t\'of the file, in Hz\' \'channels=\'\\t\'in the file\' \'samples=\'\\t\'in each channel of the file\' \'digest=\'\\t\'of the decoded sound: equal samples have equal digests, in any bit depth\' \'size=\'\\t\'of the file, in bytes\' \'modified=\'\\t\'when the file last changed, in nanoseconds\' \'issue=\'\\t\'null, or why the clip is unusable; such clips are skipped\' \'notes=\'\\t\'what is odd but usable\' \'split=\'\\t\'train, dev or test, once decided\' \'fold=\'\\t\'the fold that holds it out, once decided\' \'parent=\'\\t\'the clip that a copy was made from\' \'augmentation=\'\\t\'the drawn numbers of a copy, as JSON\' \'seed=\'\\t\'what they were drawn with; of a prediction, the seed of the training\' \'run=\'\\t\'the run that predicted\' \'predicted=\'\\t\'the most probable emotion\' \'confidence=\'\\t\'its probability\'' -d 'Keep rows for which COLUMN=VALUE holds, such as \'corpus=cremad|tess and age>=40\'; also != < <= > >=, ~ for a regular expression, and = with nothing behind it for an empty cell.'
complete -c sertool -n '__sertool_at augment' -l root -r -f -a '(__fish_complete_directories)' -d 'Where the audio of a manifest lies now, if it moved.'
complete -c sertool -n '__sertool_at augment' -s 0 -l null -d 'Paths on stdin end with NUL, as of `find -print0`.'
complete -c sertool -n '__sertool_at augment' -l pitch -r -f -d 'Pitch: higher or lower, as long as before; by how many semitones. [within -24 to 24; such as -2:2]'
complete -c sertool -n '__sertool_at augment' -l tempo -r -f -d 'Tempo: faster or slower, as high as before; how many times as fast. [within 0.25 to 4; such as 0.9:1.1]'
complete -c sertool -n '__sertool_at augment' -l speed -r -f -d 'Speed: faster and higher, or slower and lower, as a tape; how many times as fast. [within 0.25 to 4; such as 0.9:1.1]'
complete -c sertool -n '__sertool_at augment' -l impulse -r -F -d 'Impulse response of a room or a microphone; a folder of such recordings.'
complete -c sertool -n '__sertool_at augment' -l reverb -r -f -d 'Reverberation: a synthetic room, as loud as before; seconds in which it falls by 60 dB. [within 0.05 to 5; such as 0.2:0.8]'
complete -c sertool -n '__sertool_at augment' -l background -r -F -d 'Background noise: a part of a recording, repeated where it is short; a folder of recordings.'
complete -c sertool -n '__sertool_at augment' -l noise -r -f -d 'Noise: Gaussian, white or coloured; how many dB the clip lies above the noise, both below 8 kHz. [within -40 to 100; such as 10:30]'
complete -c sertool -n '__sertool_at augment' -l peak-noise -r -f -d 'Noise whose deviation is a share of the clip\'s peak; which share. [within 0 to 1; such as 0:0.035]'
complete -c sertool -n '__sertool_at augment' -l high-pass -r -f -d 'High pass: what lies below an edge is taken out; its edge in Hz. [within 10 to 100000; such as 50:400]'
complete -c sertool -n '__sertool_at augment' -l low-pass -r -f -d 'Low pass: what lies above an edge is taken out; its edge in Hz. [within 10 to 100000; such as 2000:7000]'
complete -c sertool -n '__sertool_at augment' -l band-pass -r -f -d 'Band pass: what lies outside a band is taken out; its middle in Hz. [within 10 to 100000; such as 500:2000]'
complete -c sertool -n '__sertool_at augment' -l band-stop -r -f -d 'Band stop: a band is taken out; its middle in Hz. [within 10 to 100000; such as 200:4000]'
complete -c sertool -n '__sertool_at augment' -l clipping -r -f -d 'Clipping: peaks cut off, as by a microphone that was too near; how far below the greatest peak they are cut, in dB. [within 0 to 60; such as 3:12]'
complete -c sertool -n '__sertool_at augment' -l telephone -d 'Telephone: 300 to 3,400 Hz, in 8 bits by the mu-law.'
complete -c sertool -n '__sertool_at augment' -l gain -r -f -d 'Gain: louder or softer; by how many dB. [within -60 to 60; such as -6:6]'
complete -c sertool -n '__sertool_at augment' -l codec -r -f -d 'Codec: what a call or an upload leaves, coded at a low rate and decoded again; kilobits for a second of a channel, of MP3 at least 8, or 32 from 32 kHz on; on 0.3 of the copies (see --share). [within 6 to 64; such as 8:24]'
complete -c sertool -n '__sertool_at augment' -l polarity -d 'Polarity: the waveform upside down; on 0.5 of the copies (see --share).'
complete -c sertool -n '__sertool_at augment' -l shift -r -f -d 'Time shift: earlier or later, as long as before; how much later. [within -60 to 60; such as -0.1:0.1]'
complete -c sertool -n '__sertool_at augment' -l crop -r -f -d 'Crop and pad: a part of the clip, somewhere in silence of the clip\'s length; share of the clip that is kept. [within 0.01 to 1; such as 0.8:1]'
complete -c sertool -n '__sertool_at augment' -l splice -r -f -d 'Splice-out: short pieces are cut out, and the ends faded into each other; how many pieces. [within 1 to 100; such as 2:8]'
complete -c sertool -n '__sertool_at augment' -l reverb-direct -r -f -d 'How many dB the direct sound lies above the reverberation. [within -20 to 40; such as 0:12]'
complete -c sertool -n '__sertool_at augment' -l background-snr -r -f -d 'How many dB the clip lies above the noise, both below 8 kHz. [within -40 to 100; such as 5:30]'
complete -c sertool -n '__sertool_at augment' -l noise-colour -r -f -a 'white pink brown blue violet any' -d 'Power by frequency: even, falling or rising. [default: white]'
complete -c sertool -n '__sertool_at augment' -l band-pass-octaves -r -f -d 'How wide it is, in octaves. [within 0.05 to 8; such as 2:4]'
complete -c sertool -n '__sertool_at augment' -l band-stop-octaves -r -f -d 'How wide it is, in octaves. [within 0.05 to 8; such as 0.3:1]'
complete -c sertool -n '__sertool_at augment' -l codec-kind -r -f -a 'opus mp3 any' -d 'Which codec. [default: any]'
complete -c sertool -n '__sertool_at augment' -l shift-unit -r -f -a 'seconds length' -d 'Of what: seconds, or the clip\'s length. [default: seconds]'
complete -c sertool -n '__sertool_at augment' -l shift-wrap -l no-shift-wrap -d 'What leaves at one end comes in at the other, rather than silence. [default: false]'
complete -c sertool -n '__sertool_at augment' -l splice-width -r -f -d 'How long each is, in seconds. [within 0.002 to 5; such as 0.01:0.1]'
complete -c sertool -n '__sertool_at augment' -s n -l copies -r -f -d 'Copies of each row. [default: 1, or as the recipe has it] [1 to 1000]'
complete -c sertool -n '__sertool_at augment' -l recipe -r -f -a 'clstm imagenet acnt sertool' -d 'The effects of a published system (clstm, imagenet, acnt, sertool), or of a file.toml; options override them.'
complete -c sertool -n '__sertool_at augment' -l share -r -f -d 'The share of the copies that an effect is applied to, 0 to 1; without a name, that of each effect.'
complete -c sertool -n '__sertool_at augment' -l write -r -f -a '(__fish_complete_directories)' -d 'Write each copy to a file under this folder; the rows then name these files.'
complete -c sertool -n '__sertool_at augment' -l as -r -f -a 'flac wav' -d 'With --write, the kind of file: 16 bits, the rate of the parent, and its channels up to two. Copies beyond full scale become 32-bit floats in wav, and are turned down in flac, with a warning. [default: flac]'
complete -c sertool -n '__sertool_at augment' -l part -r -f -d 'Write only the k-th of n shares, for job arrays.'
complete -c sertool -n '__sertool_at augment' -l listen -r -f -a '(__fish_complete_directories)' -d 'Write the first three clips with their copies as WAV files, and stop.'
complete -c sertool -n '__sertool_at augment' -l plot -r -F -d 'Draw the first clip and its first copy, and stop.'
complete -c sertool -n '__sertool_at augment' -s o -l out -r -F -d 'Write the manifest to this file rather than to stdout.'
complete -c sertool -n '__sertool_at augment' -s f -l format -r -f -a 'parquet csv tsv jsonl table' -d 'Format of the manifest. [default: by the extension of -o, else Parquet in a pipe and a table on a terminal]'
complete -c sertool -n '__sertool_at augment' -l seed -r -f -d 'Seed of all random choices. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at augment' -s j -l jobs -r -f -d 'Threads. [default: one for each core] [1 to 512]'
complete -c sertool -n '__sertool_at augment' -l list -d 'Show all effects and recipes, and stop.'
complete -c sertool -n '__sertool_at augment' -l strict -d 'Fail (exit 1) if any clip is set aside or a folder cannot be read.'
complete -c sertool -n '__sertool_at augment' -l dry-run -d 'Say what would be done, and do nothing.'
complete -c sertool -n '__sertool_at augment' -l wait -d 'Wait for another sertool that writes to the same place.'
complete -c sertool -n '__sertool_at augment' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at augment' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at augment' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at augment -ge 1' -F
complete -c sertool -n '__sertool_at train' -s m -l model -r -f -a 'acnt attentive bilstm clstm cnn cnn-gru cnn-transformer cnn1d cnn2d densenet161 forest gru lda logistic lstm mamba mamba-cnn mlp msf-cnn probe resnet18 resnet50 resnext50 ridge sertool svm svr whisper' -d 'The network or classical model (see --list).'
complete -c sertool -n '__sertool_at train' -l recipe -r -f -a 'cnn-a cnn-mfcc-a cnn-gru-a cnn-transformer-a resnet18-a mamba-a mamba-cnn-a clstm-b cnn1d-b lstm-b bilstm-b gru-b cnn1d-c cnn1d-lda-c lda-c svm-c logistic-c forest-c cnn2d-c cnn2d-silu-c msf-cnn-c msf-cnn-silu-c densenet161-d resnet50-d resnext50-d acnt-e whisper-probe whisper-mlp base whisper-tuned whisper-steady sertool' -d 'Use the features, model, training and protocol of a published system, or of ours; other options override it.'
complete -c sertool -n '__sertool_at train' -l dimensions -r -f -a '(__sertool_many arousal valence dominance)' -d 'Learn these columns of numbers, which rate clips, rather than emotions; figures are CCCs.'
complete -c sertool -n '__sertool_at train' -l set -r -f -d 'A setting of the model: --set channels=32,64,128 (-m NAME --list shows them).'
complete -c sertool -n '__sertool_at train' -l layers -r -f -d 'As --set layers=N: how many layers a network has; with -m whisper, how many of the encoder\'s blocks are used. [1 to 32]'
complete -c sertool -n '__sertool_at train' -l tune -r -f -d 'As --set tune=N, with -m whisper: how many of these blocks, counted from the last, are trained further. [1 to 32]'
complete -c sertool -n '__sertool_at train' -l weights -r -F -a base -d 'A file with the published weights of a backbone or an encoder, or base: the encoder of the package\'s model. [default: an encoder\'s are fetched once, for --recipe base the package\'s, and a backbone\'s are looked for where PyTorch keeps them]'
complete -c sertool -n '__sertool_at train' -l scratch -d 'Start a backbone from random weights, not from published ones.'
complete -c sertool -n '__sertool_at train' -l features -r -f -a '(__sertool_many bandwidth centroid chroma contrast flatness given mel mfcc msf pitch rms rolloff ssl tonnetz wave whisper zcr)' -d 'Features to train on, joined in the order of their names. [default: all that the manifest has]'
complete -c sertool -n '__sertool_at train' -l scale -r -f -a 'none corpus' -d 'Scale rows by the mean and deviation of all of train, or leave them. [default: none for whisper, else corpus]'
complete -c sertool -n '__sertool_at train' -l adapt -r -f -a speaker -d 'Normalise each speaker\'s rows by that speaker\'s own clips, to the mean and deviation of all speakers. Held-out figures are then transductive: the clips that are scored are also those that normalise. The first copies of all of a speaker\'s clips count as one voice, the second copies as another, so make each kind of copy by itself.'
complete -c sertool -n '__sertool_at train' -l prior-clips -r -f -d 'With --adapt, shrink a speaker\'s statistics towards those of all of train, which count as this many clips. [default: 3] [0 or more]'
complete -c sertool -n '__sertool_at train' -l select -r -f -d 'Of clip statistics, keep the columns that tell emotions apart best, at most N (0: all of them, whatever a recipe keeps). [0 or more]'
complete -c sertool -n '__sertool_at train' -l reduce -r -f -d 'Map clip statistics to fewer columns: lda, pca:N, or none, whatever a recipe does.'
complete -c sertool -n '__sertool_at train' -l teacher -r -F -d 'Learn from the answers of a model or a run as well, or from a file of predictions; for networks. Clips without a label are then trained on, too, unless a split puts them elsewhere.'
complete -c sertool -n '__sertool_at train' -l imitate -r -f -a 'bandwidth centroid chroma contrast flatness given mel mfcc msf pitch rms rolloff ssl tonnetz wave whisper zcr' -d 'A feature of the manifest, made with --stats, that the network learns to predict as well; it is none of its inputs.'
complete -c sertool -n '__sertool_at train' -l split -r -f -a 'speaker sentence speaker+sentence loso cremad-nk cremad-blocks ravdess-emobox ravdess-luna tess-cross iemocap-sessions mspimprov-sessions msppodcast-published meld-published random random-80-20 random-70-30 random-60-20-20 random-70-15-15 random-92-8-leaky-copies' -d 'As in `sertool index`: speaker:70/15/15, or a protocol (see `sertool index --list`). [default: the manifest\'s own, else speaker:70/15/15]'
complete -c sertool -n '__sertool_at train' -l folds -r -f -d 'K folds of whole speakers. [2 to 1000]'
complete -c sertool -n '__sertool_at train' -l loso -d 'Leave one speaker out, each in turn.'
complete -c sertool -n '__sertool_at train' -l protocol -r -f -a 'speaker sentence speaker+sentence loso cremad-nk cremad-blocks ravdess-emobox ravdess-luna tess-cross iemocap-sessions mspimprov-sessions msppodcast-published meld-published random random-80-20 random-70-30 random-60-20-20 random-70-15-15 random-92-8-leaky-copies' -d 'A published split or folds.'
complete -c sertool -n '__sertool_at train' -l train-on -r -f -a '(__sertool_many )' -d 'Train on these corpora.'
complete -c sertool -n '__sertool_at train' -l test-on -r -f -a '(__sertool_many )' -d 'Hold out these corpora.'
complete -c sertool -n '__sertool_at train' -l always-train -r -f -a '(__sertool_many )' -d 'Always train on these corpora, such as a large one, and divide the others into train, dev and test.'
complete -c sertool -n '__sertool_at train' -l no-dev -d 'Train on the speakers of dev, too; with folds, dev is an eighth of the speakers who are not held out. Then no epoch is chosen, and probabilities are not calibrated. The classical models learn from the dev of folds anyway.'
complete -c sertool -n '__sertool_at train' -l seeds -r -f -d 'Train with N seeds, from --seed on; with one, if the model draws nothing. All share the split or the folds that are drawn with --seed. [default: 1; 1 to 1000]'
complete -c sertool -n '__sertool_at train' -l gap -d 'Train twice, under a leaky protocol and on disjoint speakers, and say the difference in UAR and in accuracy. The split you name, or the recipe\'s, is one of the two. The other has parts as large, such as speaker:80/20 beside random-80-20; but to a split of your own a leaky recipe adds its own. Both use the same clips.'
complete -c sertool -n '__sertool_at train' -l final -d 'Then train one more model, to be used, on all clips of train, dev and test: in final/ of the run. It is trained for as many epochs as the others chose in the median, on the same schedule (plateau lowers the rate where theirs did), with the first seed, and calibrated by their answers to what they held out. Its own score is unknown; theirs is about what to expect.'
complete -c sertool -n '__sertool_at train' -l epochs -r -f -d 'Times over the training clips. [default: 30; 1 to 100000]'
complete -c sertool -n '__sertool_at train' -l batch -r -f -d 'Clips in a batch. [default: 32; 1 to 100000]'
complete -c sertool -n '__sertool_at train' -l optimizer -r -f -a 'adam adamw sgd' -d 'Optimiser. [default: adamw]'
complete -c sertool -n '__sertool_at train' -l lr -r -f -d 'Learning rate. [default: 0.001; 0 or more]'
complete -c sertool -n '__sertool_at train' -l weight-decay -r -f -d 'Weight decay. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at train' -l momentum -r -f -d 'Momentum of SGD. [default: 0.9; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l schedule -r -f -a 'constant plateau cosine restarts one-cycle' -d 'How the learning rate changes: plateau by the dev figure or, without dev, by the loss in train. [default: cosine]'
complete -c sertool -n '__sertool_at train' -l warmup -r -f -d 'Steps over which the learning rate rises from zero. [default: 0; 0 to 100000]'
complete -c sertool -n '__sertool_at train' -l plateau-factor -r -f -d 'Factor of the rate on a plateau. [default: 0.5; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l plateau-patience -r -f -d 'Epochs without improvement that make a plateau. [default: 10; 0 to 100000]'
complete -c sertool -n '__sertool_at train' -l restart-epochs -r -f -d 'Epochs of the first cosine of restarts. [default: 10; 1 to 100000]'
complete -c sertool -n '__sertool_at train' -l restart-factor -r -f -d 'Each cosine lasts this many times as long as the last. [default: 2; 1 to 1000]'
complete -c sertool -n '__sertool_at train' -l smoothing -r -f -d 'Label smoothing. [default: 0; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l balance -r -f -a 'none weights sampling corpus corpus-emotion' -d 'Even out emotions, by weights in the loss (weights) or by drawing clips (sampling); or corpora, or both, by drawing clips; classical models always use weights. [default: none]'
complete -c sertool -n '__sertool_at train' -l absent-emotions -r -f -a 'mask count' -d 'For networks with several corpora: leave emotions that a clip\'s corpus lacks out of its loss, or count them. [default: mask]'
complete -c sertool -n '__sertool_at train' -l clip -r -f -d 'Greatest norm of the gradient (0: any). [0 or more]'
complete -c sertool -n '__sertool_at train' -l clip-value -r -f -d 'Greatest value in the gradient (0: any). [0 or more]'
complete -c sertool -n '__sertool_at train' -l patience -r -f -d 'Stop after so many epochs without a better dev figure (0: never). [0 to 100000]'
complete -c sertool -n '__sertool_at train' -l metric -r -f -a 'uar loss wa ccc' -d 'Dev figure that chooses the epoch; with --dimensions ccc or loss. [default: uar]'
complete -c sertool -n '__sertool_at train' -l keep -r -f -a 'best last' -d 'The epoch whose weights are kept. [default: best]'
complete -c sertool -n '__sertool_at train' -l ema -r -f -d 'Decay of the weights\' moving average, which is what is evaluated and kept. [0 to 1]'
complete -c sertool -n '__sertool_at train' -l mixup -r -f -d 'Alpha of mixup. [0 to 1000]'
complete -c sertool -n '__sertool_at train' -l mixes -r -f -a 'rows summary' -d 'What mixup mixes: rows, or the network\'s embeddings of clips. [default: rows]'
complete -c sertool -n '__sertool_at train' -l soft -r -f -d 'Share of the listeners\' votes in the targets, the rest being the intended emotion. [default: 0; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l teach -r -f -d 'Share of the teacher\'s answers in the targets. [default: 0.7; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l likeness -r -f -d 'Weight of likeness to the imitated features in the loss. [default: 1; 0 or more]'
complete -c sertool -n '__sertool_at train' -l steady -r -f -d 'Consistency: share of the loss for giving a copy the outputs that the untrained encoder has for its clip. [default: 0; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l strangers -r -f -d 'With --adapt, share of the clips that are scaled as if their speaker were unknown; lda takes any value between 0 and 1 as 0.5. [default: 0.5; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l time-masks -r -f -d 'Bars of time set to zero in each clip. [default: 0; 0 to 1000]'
complete -c sertool -n '__sertool_at train' -l time-width -r -f -d 'Greatest width of a time bar in rows. [default: 30; 0 to 100000]'
complete -c sertool -n '__sertool_at train' -l column-masks -r -f -d 'Bars of columns set to zero in each clip. [default: 0; 0 to 1000]'
complete -c sertool -n '__sertool_at train' -l column-width -r -f -d 'Greatest width of a column bar. [default: 12; 0 to 100000]'
complete -c sertool -n '__sertool_at train' -l mask-share -r -f -d 'Share of the clips that are masked so. [default: 1; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l shift -r -f -d 'Greatest roll in time, as a share of the clip. [default: 0; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l shift-share -r -f -d 'Share of the clips that are rolled so. [default: 1; 0 to 1]'
complete -c sertool -n '__sertool_at train' -l noise -r -f -d 'Standard deviation of Gaussian noise added to the rows. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at train' -l gain -r -f -d 'Greatest offset added to all columns of a clip. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at train' -l precision -r -f -a 'float32 bf16' -d 'Arithmetic of training. [default: float32]'
complete -c sertool -n '__sertool_at train' -l compile -l no-compile -d 'Compile the network. [default: false]'
complete -c sertool -n '__sertool_at train' -l where -r -f -a '\'clip=\'\\t\'unique, stable name: corpus/stem; a copy is parent#k\' \'path=\'\\t\'the audio file\' \'start=\'\\t\'where the clip starts in the file, in seconds\' \'duration=\'\\t\'how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff\' \'corpus=\'\\t\'the corpus it belongs to\' \'speaker=\'\\t\'who speaks, qualified by the corpus: cremad:1001; null when unknown\' \'sex=\'\\t\'female or male\' \'age=\'\\t\'in years; bands such as 20-29 become a column age_band\' \'race=\'\\t\'as the corpus has it\' \'ethnicity=\'\\t\'as the corpus has it\' \'language=\'\\t\'ISO 639-1 code\' \'emotion=\'\\t\'canonical word, as listed below, or one of your own (--map)\' \'label=\'\\t\'the corpus\\\' own code for it\' \'intensity=\'\\t\'low, medium or high\' \'sentence=\'\\t\'identity or text of what was said\' \'style=\'\\t\'speech, song or non-speech; scripted, improvised, read or natural\' \'arousal=\'\\t\'how active the voice is, also called activation, in the corpus\\\' own scale\' \'valence=\'\\t\'how pleasant what it expresses is, in that scale\' \'dominance=\'\\t\'how much in control the speaker is, in that scale\' \'sample_rate=\'\\t\'of the file, in Hz\' \'channels=\'\\t\'in the file\' \'samples=\'\\t\'in each channel of the file\' \'digest=\'\\t\'of the decoded sound: equal samples have equal digests, in any bit depth\' \'size=\'\\t\'of the file, in bytes\' \'modified=\'\\t\'when the file last changed, in nanoseconds\' \'issue=\'\\t\'null, or why the clip is unusable; such clips are skipped\' \'notes=\'\\t\'what is odd but usable\' \'split=\'\\t\'train, dev or test, once decided\' \'fold=\'\\t\'the fold that holds it out, once decided\' \'parent=\'\\t\'the clip that a copy was made from\' \'augmentation=\'\\t\'the drawn numbers of a copy, as JSON\' \'seed=\'\\t\'what they were drawn with; of a prediction, the seed of the training\' \'run=\'\\t\'the run that predicted\' \'predicted=\'\\t\'the most probable emotion\' \'confidence=\'\\t\'its probability\'' -d 'Keep rows for which COLUMN=VALUE holds, such as \'corpus=cremad|tess and age>=40\'; also != < <= > >=, ~ for a regular expression, and = with nothing behind it for an empty cell.'
complete -c sertool -n '__sertool_at train' -l root -r -f -a '(__fish_complete_directories)' -d 'Where the audio of a manifest lies now, if it moved.'
complete -c sertool -n '__sertool_at train' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'The run\'s folder. [default: runs/MODEL-SETTINGS]'
complete -c sertool -n '__sertool_at train' -s f -l format -r -f -a 'parquet csv tsv jsonl table' -d 'Format of the manifest. [default: Parquet in a pipe and a table on a terminal]'
complete -c sertool -n '__sertool_at train' -l device -r -f -a 'auto cpu cuda mps' -d 'Where to compute. [default: auto]'
complete -c sertool -n '__sertool_at train' -s j -l jobs -r -f -d 'Threads. [default: one for each core] [1 to 512]'
complete -c sertool -n '__sertool_at train' -l seed -r -f -d 'Seed of all random choices, in the training and of who is held out; some protocols have their own. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at train' -l pack -r -f -a 'half 8-bit' -d 'Put the features\' pretrained encoder into the model file, which then needs nothing else; 8-bit rounds the model\'s own weights, too.'
complete -c sertool -n '__sertool_at train' -l overwrite -d 'Replace a run that has other settings or data, or is damaged.'
complete -c sertool -n '__sertool_at train' -l list -d 'Show the models and recipes, with -m the settings of one model, or with --recipe each value of one recipe and whether it is ours, where a publication leaves it open; and stop.'
complete -c sertool -n '__sertool_at train' -l dry-run -d 'Say what would be done, and do nothing.'
complete -c sertool -n '__sertool_at train' -l wait -d 'Wait for another sertool that writes to the same place.'
complete -c sertool -n '__sertool_at train' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at train' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at train' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at train -ge 1' -F
complete -c sertool -n '__sertool_at eval' -l truth -r -f -d 'The column that holds the true emotion, or rating.'
complete -c sertool -n '__sertool_at eval' -l predicted -r -f -d 'The column that holds the predicted one.'
complete -c sertool -n '__sertool_at eval' -l dimensions -r -f -a '(__sertool_many arousal valence dominance)' -d 'Score these ratings, such as arousal,valence, rather than emotions; any column of numbers with predictions beside it.'
complete -c sertool -n '__sertool_at eval' -l speaker -r -f -d 'The column that tells speakers apart.'
complete -c sertool -n '__sertool_at eval' -l split -r -f -a 'test dev train' -d 'Which rows to score. [default: test where there are any, else dev]'
complete -c sertool -n '__sertool_at eval' -l map -r -f -d 'What a label means: ps=surprise, calm=neutral; X= means no emotion, so an answer X is wrong.'
complete -c sertool -n '__sertool_at eval' -l where -r -f -a '\'clip=\'\\t\'unique, stable name: corpus/stem; a copy is parent#k\' \'path=\'\\t\'the audio file\' \'start=\'\\t\'where the clip starts in the file, in seconds\' \'duration=\'\\t\'how long it is, in seconds; tables may say start and end, also as HH:MM:SS.fff\' \'corpus=\'\\t\'the corpus it belongs to\' \'speaker=\'\\t\'who speaks, qualified by the corpus: cremad:1001; null when unknown\' \'sex=\'\\t\'female or male\' \'age=\'\\t\'in years; bands such as 20-29 become a column age_band\' \'race=\'\\t\'as the corpus has it\' \'ethnicity=\'\\t\'as the corpus has it\' \'language=\'\\t\'ISO 639-1 code\' \'emotion=\'\\t\'canonical word, as listed below, or one of your own (--map)\' \'label=\'\\t\'the corpus\\\' own code for it\' \'intensity=\'\\t\'low, medium or high\' \'sentence=\'\\t\'identity or text of what was said\' \'style=\'\\t\'speech, song or non-speech; scripted, improvised, read or natural\' \'arousal=\'\\t\'how active the voice is, also called activation, in the corpus\\\' own scale\' \'valence=\'\\t\'how pleasant what it expresses is, in that scale\' \'dominance=\'\\t\'how much in control the speaker is, in that scale\' \'sample_rate=\'\\t\'of the file, in Hz\' \'channels=\'\\t\'in the file\' \'samples=\'\\t\'in each channel of the file\' \'digest=\'\\t\'of the decoded sound: equal samples have equal digests, in any bit depth\' \'size=\'\\t\'of the file, in bytes\' \'modified=\'\\t\'when the file last changed, in nanoseconds\' \'issue=\'\\t\'null, or why the clip is unusable; such clips are skipped\' \'notes=\'\\t\'what is odd but usable\' \'split=\'\\t\'train, dev or test, once decided\' \'fold=\'\\t\'the fold that holds it out, once decided\' \'parent=\'\\t\'the clip that a copy was made from\' \'augmentation=\'\\t\'the drawn numbers of a copy, as JSON\' \'seed=\'\\t\'what they were drawn with; of a prediction, the seed of the training\' \'run=\'\\t\'the run that predicted\' \'predicted=\'\\t\'the most probable emotion\' \'confidence=\'\\t\'its probability\'' -d 'Keep rows for which COLUMN=VALUE holds, such as \'corpus=cremad|tess and age>=40\'; also != < <= > >=, ~ for a regular expression, and = with nothing behind it for an empty cell.'
complete -c sertool -n '__sertool_at eval' -l by -r -f -a '(__sertool_many corpus speaker sex age intensity language race ethnicity sentence style)' -d 'Tables by corpus, speaker, sex, age, intensity, language, race, ethnicity, sentence, style (age in bands), or any column of few values.'
complete -c sertool -n '__sertool_at eval' -l resamples -r -f -d 'How many resamples the intervals are made of; no p is below one over their number, and what may be lower is shown as ≤. [default: 2000, and for differences of runs at least 200 for each pair; 100 to 100000]'
complete -c sertool -n '__sertool_at eval' -l baseline -r -f -d 'Compare every other run with this one, rather than all pairs.'
complete -c sertool -n '__sertool_at eval' -l min-uar -r -f -d 'Exit 1 if the UAR of any run is below this share, such as .6. [0 to 1]'
complete -c sertool -n '__sertool_at eval' -l min-ccc -r -f -d 'Exit 1 if the CCC of any run, or its mean over dimensions, is below this. [-1 to 1]'
complete -c sertool -n '__sertool_at eval' -s o -l out -r -F -d 'Write the report to this file (.txt, .json, .csv, .md, .tex) rather than to stdout.'
complete -c sertool -n '__sertool_at eval' -s f -l format -r -f -a 'table json csv markdown latex' -d 'Format of the report. [default: by the extension of -o, else a table]'
complete -c sertool -n '__sertool_at eval' -l plot -r -f -a '(__fish_complete_directories)' -d 'Draw into this folder: confusion, recall, reliability, threshold curves, speakers, differences of runs.'
complete -c sertool -n '__sertool_at eval' -l plot-format -r -f -a 'png pdf svg' -d 'Format of the pictures. [default: png]'
complete -c sertool -n '__sertool_at eval' -l html -r -F -d 'Write the whole report as one page for the browser; - for stdout, in place of the tables.'
complete -c sertool -n '__sertool_at eval' -l seed -r -f -d 'Seed of all random choices. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at eval' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at eval' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at eval' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at eval -ge 1' -F
complete -c sertool -n '__sertool_at predict' -l window -r -f -d 'Judge windows of this length rather than whole clips. [0.05 or more]'
complete -c sertool -n '__sertool_at predict' -l hop -r -f -d 'From the start of one window to the next. [default: the window] [0.01 or more]'
complete -c sertool -n '__sertool_at predict' -l pauses -r -f -d 'Judge turns rather than windows: what is said between pauses of at least this length, such as 0.4. Turns that are longer than --window are cut into equal parts [default: 5], and pauses are rows with the issue silent. What counts as a pause follows from a file\'s loudest sound and its noise, so each file is read before it is answered. [0.1 to 10]'
complete -c sertool -n '__sertool_at predict' -l merge -d 'Join neighbouring windows of one emotion into one row, as RTTM, SRT, TextGrid and Audacity\'s labels always do.'
complete -c sertool -n '__sertool_at predict' -l summary -d 'One row for each clip (and channel): how long was judged, the share of each emotion in that, and mean probabilities.'
complete -c sertool -n '__sertool_at predict' -l channel -r -f -a 'mix left right each' -d 'Which channels of stereo audio are judged; each: every channel by itself, as in calls with one speaker a side. Manifests may name a channel for each row, in the column channel, from 1. [default: mix]'
complete -c sertool -n '__sertool_at predict' -l silence -r -f -d 'Clips and windows of which no tenth of a second reaches this level (RMS, relative to full scale) are silent and not judged. [default: -60.0; -200 to 0]'
complete -c sertool -n '__sertool_at predict' -l trim -r -f -d 'Cut silent ends off each clip or window: frames this far below its loudest one. [default: as the model says; for those of the package, 40] [1 to 200]'
complete -c sertool -n '__sertool_at predict' -l adapt -r -f -a speaker -d 'Normalise each speaker\'s clips by the mean and deviation of all of them: a speaker\'s answers come once all of the speaker\'s clips are read.'
complete -c sertool -n '__sertool_at predict' -l speakers -r -f -a 'all parent-folder speaker' -d 'How speakers are told apart: parent-folder, a column of the manifest, a pattern such as \'{speaker}_{}.wav\', or all: everyone on a channel counts as one voice, for recordings unlike those of the model\'s training. [default: speaker]'
complete -c sertool -n '__sertool_at predict' -l enroll -r -F -d 'Adapt by these clips instead, of one voice unless --speakers tells several apart; answers then come at once, clip by clip.'
complete -c sertool -n '__sertool_at predict' -l threshold -r -f -d 'Predict no emotion where the best one is less probable than this. [0 to 1]'
complete -c sertool -n '__sertool_at predict' -l top -r -f -d 'Add a column `top` with the K most probable emotions. [1 or more]'
complete -c sertool -n '__sertool_at predict' -l speeds -r -f -d 'Play each clip at these speeds (pitch changes, too), such as 0.95,1.05, and average the answers: often slightly more accurate, for as many times the work. [default: 1] [0.25 to 4]'
complete -c sertool -n '__sertool_at predict' -s m -l model -r -F -a 'base tiny' -d 'A model file; a run\'s folder, whose models are averaged; or one of the package: base, tiny. Several are averaged with equal weights. [default: base]'
complete -c sertool -n '__sertool_at predict' -l model-card -d 'Say what the model is and where it came from, and stop.'
complete -c sertool -n '__sertool_at predict' -l weights -r -F -a base -d 'Weights of the encoder that the model\'s features need, or base: those of the package\'s model. [default: the package\'s, if the model needs those; else fetched once into $SERTOOL_CACHE or ~/.cache/sertool]'
complete -c sertool -n '__sertool_at predict' -l fold -r -f -d 'Only the models of this fold of a run. [0 or more]'
complete -c sertool -n '__sertool_at predict' -l root -r -f -a '(__fish_complete_directories)' -d 'Where the audio of a manifest lies now, if it moved.'
complete -c sertool -n '__sertool_at predict' -s 0 -l null -d 'Paths on stdin end with NUL, as of `find -print0`.'
complete -c sertool -n '__sertool_at predict' -s o -l out -r -F -d 'Write to this file rather than to stdout; or, if it is a folder or ends in /, to a file for each recording there.'
complete -c sertool -n '__sertool_at predict' -s f -l format -r -f -a 'csv tsv jsonl parquet table rttm srt audacity textgrid' -d 'Format. [default: by the extension of -o, else CSV in a pipe or folder, and lines on a terminal]'
complete -c sertool -n '__sertool_at predict' -l device -r -f -a 'auto cpu cuda mps' -d 'Where to compute. [default: auto]'
complete -c sertool -n '__sertool_at predict' -s j -l jobs -r -f -d 'Threads. [default: one for each core] [1 to 512]'
complete -c sertool -n '__sertool_at predict' -l strict -d 'Fail (exit 1) if any clip is set aside or a folder cannot be read.'
complete -c sertool -n '__sertool_at predict' -l wait -d 'Wait for another sertool that writes to the same place.'
complete -c sertool -n '__sertool_at predict' -s q -l quiet -d 'Say nothing but errors.'
complete -c sertool -n '__sertool_at predict' -s v -l verbose -d 'Say more of what is done.'
complete -c sertool -n '__sertool_at predict' -s h -l help -d 'Show this message and exit.'
complete -c sertool -n '__sertool_at predict -ge 1' -F
complete -c sertool -n '__sertool_at demo' -s o -l out -r -f -a '(__fish_complete_directories)' -d 'Folder for everything that is made. [default: sertool-demo]'
complete -c sertool -n '__sertool_at demo' -l seed -r -f -d 'Seed of all random choices. [default: 0; 0 or more]'
complete -c sertool -n '__sertool_at demo' -s h -l help -d 'Show this message and exit.'
