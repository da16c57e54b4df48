"""Calls that a SIP media application (SMA) bridges here: joined to its transaction, hung up along the route."""

import json
import unittest
import uuid

import messages
import service
import stand
from support import WithService
from trunk import Call

SMA = "invite-from-sma-callandbridge.sip"


class Transactions(WithService):
    def listed(self, call_id):
        """The CALL as the list of live calls shows it."""
        return next(call for call in self.trunkline.calls(ended=False) if call["callId"] == call_id)

    def test_a_header_names_the_transaction_however_it_is_written(self):
        for name in ("X-TRUNKLINE-transaction", "X-Trunkline-Transaction", "x-trunkline-transaction"):
            transaction = str(uuid.uuid4())
            with self.subTest(name), self.trunk.placed(stand.ECHO, SMA, [(name, transaction)]) as call:
                shown = self.listed(call.call_id)
                self.assertEqual(shown["smaTransactionId"], transaction)
                self.assertEqual((shown["link"], shown["direction"]), ("sip", "inbound"))
                self.assertEqual((shown["from"], shown["to"]), ("***0001", "***6001"))
                self.assertEqual(self.trunkline.call(transaction)["callId"], call.call_id)
        # No number is in what anybody can read.
        self.assertNotIn("5550100001", self.trunkline.log_file.read_text(encoding="utf-8"))

    def test_the_request_uri_names_it_too_and_is_no_number(self):
        transaction = str(uuid.uuid4())
        with self.trunk.placed(transaction, SMA) as call:
            shown = self.listed(call.call_id)
            self.assertEqual((shown["smaTransactionId"], shown["to"]), (transaction, None))
            service.wait_for(lambda: self.listed(call.call_id)["route"] == "*", 10, "the route without a number")

    def test_headers_tell_route_and_numbers(self):
        headers = [
            ("X-Trunkline-transaction", str(uuid.uuid4())),
            ("X-TRUNKLINE-ROUTE", stand.ECHO),
            ("x-trunkline-from", "+15550100077"),
            ("X-trunkline-To", "+15550199088"),
        ]
        with self.trunk.placed(str(uuid.uuid4()), SMA, headers) as call:
            shown = self.listed(call.call_id)
            self.assertEqual((shown["from"], shown["to"], shown["route"]), ("***0077", "***9088", stand.ECHO))

    def test_an_operator_hangs_up_along_the_route_and_the_transaction_is_over(self):
        transaction = str(uuid.uuid4())
        headers = [("X-Trunkline-Transaction", transaction)]
        with self.trunk.placed(stand.ECHO, SMA, headers) as call:
            self.trunkline.post(f"/admin/calls/{transaction}/hangup")
            bye = call.hung_up()
            self.assertEqual(bye.came_to, "route")
            self.assertEqual(bye.all("Route"), call.invite.all("Record-Route"))
            self.assertEqual(bye.start, f"BYE {call.invite.get('Contact').strip('<>')} SIP/2.0")
            self.assertEqual((bye.tag("From"), bye.tag("To")), (call.answer.tag("To"), call.invite.tag("From")))
        self.assertEqual(self.trunkline.ended(call.call_id)["endReason"], "operator_hangup")

        # Bridged once more all the same: declined, which the application takes as over.
        again = Call(self.trunk, None, self.trunk.invite(stand.ECHO, messages.offer("127.0.0.1", 30_120), SMA, headers))
        self.trunk.send(again.invite)
        answer = self.trunk.final(again.invite)
        again.acknowledge_refusal(answer)
        self.assertEqual(answer.status, 603)

    def test_numbers_are_shown_to_who_asks_for_them(self):
        with self.trunk.placed(stand.ECHO, SMA) as call:
            shown = json.loads(self.trunkline.get(f"/admin/calls/{call.call_id}?reveal=numbers"))
            self.assertEqual((shown["from"], shown["to"]), ("+15550100001", stand.ECHO))


if __name__ == "__main__":
    unittest.main()
