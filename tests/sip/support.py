"""What the test cases share."""

import pathlib
import tempfile
import unittest

import messages
import stand
from trunk import Call, Trunk


class WithService(unittest.TestCase):
    """One service for all tests of a class."""

    settings = {}

    @classmethod
    def setUpClass(cls):
        directory = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.trunkline = stand.Trunkline(directory / "log", **cls.settings)
        cls.addClassCleanup(cls.trunkline.stop)

    def setUp(self):
        self.trunk = Trunk(self.trunkline.sip)
        self.addCleanup(self.trunk.close)

    def refused(self, to, **keywords):
        """The answer to an INVITE that is to be refused."""
        sdp = messages.offer("127.0.0.1", 30_120, **keywords)
        call = Call(self.trunk, None, self.trunk.invite(to, sdp))
        self.trunk.send(call.invite)
        answer = self.trunk.final(call.invite)
        if answer.status == 200:
            call.answered(answer)
            call.acknowledge()
            call.hang_up()
        else:
            call.acknowledge_refusal(answer)
        return answer

    def live(self, call_id):
        """How many live calls are of this Call-ID."""
        return [call["callId"] for call in self.trunkline.calls(ended=False)].count(call_id)
