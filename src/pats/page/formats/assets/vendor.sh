#!/bin/sh
# Fetches the three chart libraries of the page again: sh vendor.sh  (needs npm; writes beside itself).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
cd "$work"
npm install --silent --ignore-scripts --no-audit --no-fund vega@6.4.0 vega-lite@6.4.3 vega-embed@7.3.0
for name in vega vega-lite vega-embed; do
    sed '/^\/\/# sourceMappingURL/d' "node_modules/$name/build/$name.min.js" > "$here/$name.min.js"
done
# The bundles hold these packages too; their licences ask to be kept with them.
: > "$here/LICENSES.txt"
for name in vega vega-lite vega-embed vega-tooltip vega-themes vega-interpreter vega-schema-url-parser \
    $(cd node_modules && ls -d d3-*) delaunator fast-json-patch internmap json-stringify-pretty-compact \
    robust-predicates semver topojson-client tslib; do
    for licence in "node_modules/$name"/LICENSE*; do
        [ -f "$licence" ] || continue
        version=$(node -p "require('./node_modules/$name/package.json').version")
        printf -- '---- %s %s\n\n' "$name" "$version" >> "$here/LICENSES.txt"
        cat "$licence" >> "$here/LICENSES.txt"
        printf '\n' >> "$here/LICENSES.txt"
    done
done
rm -r "$work"
cd "$here" && sha256sum *.min.js > SHA256SUMS
