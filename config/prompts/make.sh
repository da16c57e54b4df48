#!/usr/bin/env bash
# Makes the prompt files beside this script. Needs the Debian packages flite and sox.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make NAME TEXT: speaks TEXT and writes NAME.wav, 8 kHz mono 16-bit.
make() {
  local name=$1 text=$2 active gain
  flite -voice rms --setf duration_stretch=0.95 -t "$text" -o "$work/raw.wav"
  # The telephone band, without the silence before and after the words.
  sox -D "$work/raw.wav" -r 8000 "$work/band.wav" highpass 200 rate -v 8000 gain -n -6 \
    silence 1 0.01 -42d reverse silence 1 0.01 -42d reverse
  # The level of the words alone: pauses within the text are left out of the measurement.
  active=$(sox -D "$work/band.wav" -n silence -l 1 0.02 -40d -1 0.08 -40d stats 2>&1 | awk '/^RMS lev dB/ { print $4 }')
  gain=$(awk -v level="$active" 'BEGIN { printf "%.2f", -20 - level }')
  sox -D "$work/band.wav" -b 16 "$work/level.wav" gain "$gain" pad 0.02 0.04 fade t 0.01 0 0.02
  # -D everywhere: the same bytes each time. A plain 44-byte header, no comments.
  sox -D "$work/level.wav" --comment '' "$name.wav"
}

make keepalive-1 'One moment, please.'
make keepalive-2 'I am still connecting you. Thank you for waiting.'
make keepalive-3 'Please stay on the line.'
make goodbye 'I am sorry, we cannot continue this call right now. Please try again later. Goodbye.'
