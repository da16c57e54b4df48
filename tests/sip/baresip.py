"""baresip, a SIP telephone (Debian package baresip-core): a WAV as its microphone, a recording as its ear."""

import pathlib
import subprocess
import tempfile

import ports
import quality

MODULES = pathlib.Path("/usr/lib/baresip/modules")
CONFIGURATION = """\
poll_method epoll
sip_listen 127.0.0.1:{port}
{tls}
audio_source aufile,{microphone}
audio_player aubridge,nil
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
rtp_ports 10000-10990
jitter_buffer_type fixed
jitter_buffer_delay 1-5
net_interface 127.0.0.1
module_path {modules}
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
{srtp}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path {directory}
"""


class Telephone:
    """One call to `uri`, which ends when all of the microphone's file is said."""

    def __init__(self, uri, microphone, tls_certificate=None):
        self._directory = tempfile.TemporaryDirectory(prefix="baresip-")
        self.directory = pathlib.Path(self._directory.name)
        configuration = CONFIGURATION.format(
            # The next is for TLS.
            port=ports.take(2, 2),
            microphone=microphone,
            modules=MODULES,
            directory=self.directory,
            tls=f"sip_cafile {tls_certificate}" if tls_certificate else "",
            srtp="module srtp.so" if tls_certificate else "",
        )
        (self.directory / "config").write_text(configuration, encoding="utf-8")
        account = "<sip:alice@127.0.0.1>;regint=0;audio_codecs=PCMU\n"
        if tls_certificate:
            account = "<sip:alice@127.0.0.1;transport=tls>;regint=0;audio_codecs=PCMU;mediaenc=srtp-mand\n"
        (self.directory / "accounts").write_text(account, encoding="utf-8")
        # It shows a meter ten times a second.
        self._output = open(self.directory / "output", "w", encoding="utf-8")
        self._process = subprocess.Popen(
            ["baresip", "-4", "-f", str(self.directory), "-e", f"/dial {uri}"],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def press(self, key):
        """Presses a key."""
        self._process.stdin.write(key.encode())
        self._process.stdin.flush()

    def said(self):
        """What it shows."""
        text = (self.directory / "output").read_text(encoding="utf-8", errors="replace")
        lines = text.replace("\r", "\n").splitlines()
        return "\n".join(line for line in lines if line.strip() and "audio=" not in line)

    def heard(self):
        """Its recording of the far end, as int16 samples at 8 kHz."""
        found = list(self.directory.glob("dump-*-dec.wav"))
        if len(found) != 1:
            raise RuntimeError(f"{len(found)} recordings; baresip says:\n{self.said()[-2_000:]}")
        return quality.load(found[0])

    def close(self):
        """Ends it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdin.close()
        self._output.close()

    def forget(self):
        """Ends it and removes all it wrote."""
        self.close()
        self._directory.cleanup()
