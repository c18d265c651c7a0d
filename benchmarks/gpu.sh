#!/bin/sh
# Everything on a GPU in at most eight minutes: the tests that only run there, the benchmarks, and two real runs.
#
#     sh benchmarks/gpu.sh                 # results in $OUT, or out/gpu
#     DEVICE=cpu sh benchmarks/gpu.sh      # tries the script itself, with tiny sizes
#
# Each part has its own time. One that fails or runs out of it leaves the others alone, and what it had written
# stays. summary.txt has a line a part. In a copy without git, COMMIT names the commit that it is of.
set -u
cd "$(dirname "$0")/.." || exit 2
DEVICE=${DEVICE:-cuda}
OUT=${OUT:-out/gpu}
PYTHON=${PYTHON:-python}
mkdir -p "$OUT" || exit 2
OUT=$(cd "$OUT" && pwd)
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PATS_TRY=1

if ! git rev-parse HEAD >/dev/null 2>&1; then # rows are found again by the contents of the code
    git init -q . && git add -A && git -c user.name=gpu -c user.email=gpu@localhost commit -qm "a copy" || exit 2
    export PATS_COMMIT="${COMMIT:-unknown}"
fi

failed=0
: >"$OUT/summary.txt"
: >"$OUT/gpu.log"
begun=$(mktemp)

part() { # name, seconds, command
    name=$1 seconds=$(($2 * patience))
    shift 2
    since=$(date +%s)
    echo "== $name: $*" >>"$OUT/gpu.log"
    timeout -k 5 "$seconds" "$@" >>"$OUT/gpu.log" 2>&1
    code=$?
    [ $code -eq 0 ] || failed=1
    echo "$name: exit $code, $(($(date +%s) - since)) s of $seconds" | tee -a "$OUT/summary.txt"
}

if [ "$DEVICE" = cuda ]; then
    shapes="minilm bert-base roberta-large" rounds=15 steps=300 sizes="" chosen="" patience=1
else
    shapes=minilm rounds=1 steps=2 sizes="--sizes MiniLM-L6" chosen="-k on_a_gpu" patience=3
fi

# shellcheck disable=SC2086
{
    part tests 150 $PYTHON -m pytest -q -p no:cacheprovider $chosen tests/kernels/test_triton.py \
        tests/optim/test_cuda_graphs.py tests/test_training_step.py tests/run/test_losses.py
    part step 75 $PYTHON -m benchmarks.step --device $DEVICE --threads 1 --rounds $rounds --fast --shapes $shapes
    part scaling 45 $PYTHON -m benchmarks.scaling --device $DEVICE --threads 1 --rounds $rounds $sizes
    part memory 60 $PYTHON -m benchmarks.memory --device $DEVICE --shapes ${shapes%% roberta*}
    part end_to_end 45 $PYTHON -m benchmarks.end_to_end --device $DEVICE --threads 1 --rounds $rounds
}
for method in vanilla pats; do
    rm -rf "$OUT/$method"
    part "run_$method" 50 sh -c "$PYTHON -m pats run --task grammar --model minilm --method $method --steps $steps \
        --quiet --json --out '$OUT/$method' >'$OUT/run_$method.json'"
    rm -rf "$OUT/$method"
done
for name in step scaling memory end_to_end; do
    [ ! "out/results/$name.json" -nt "$begun" ] || cp "out/results/$name.json" "$OUT/$name.json"
done
rm -f "$begun"
exit $failed
