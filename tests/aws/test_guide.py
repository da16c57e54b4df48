"""deploy/README.md: its AWS commands exist, its configuration is taken, its links and names lead somewhere."""

import json
import os
import re
import shlex
import subprocess
import tempfile
import tomllib
import unittest

import botocore.session
from botocore import xform_name
from botocore.validate import ParamValidator
from cfnlint.decode import cfn_yaml

import stand_in

GUIDE = (stand_in.ROOT / "deploy" / "README.md").read_text(encoding="utf-8")

# Of the command line alone, not of an API.
OWN_COMMANDS = {("s3", "mb"), ("s3", "cp"), ("cloudformation", "deploy")}
GLOBAL_OPTIONS = {"query", "output"}


def blocks(language):
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def commands():
    """The words of every `aws` command."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("aws ")]


def options(words):
    """{option: values} of the words after a command."""
    found = {}
    for word in words:
        if word.startswith("--"):
            found[word[2:]] = []
        else:
            list(found.values())[-1].append(word)
    return found


def value_of(shape, words):
    """What the command line makes of an option's words, as far as the guide uses it."""
    if words and words[0][0] in "[{":
        return json.loads(words[0])
    return words if shape.type_name == "list" else words[0]


class Guide(unittest.TestCase):
    def check(self, service, operation, words):
        """Fails unless the operation is one of the service's and takes these options."""
        model = botocore.session.get_session().get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        self.assertIn(operation, names)
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()}
        request = {}
        for option, values in options(words).items():
            if option in GLOBAL_OPTIONS:
                continue
            is_off = option.startswith("no-") and option not in members
            name, member = members[option.removeprefix("no-") if is_off else option]
            if member.type_name == "boolean":
                self.assertEqual(values, [])
                request[name] = not is_off
            elif member.type_name == "integer":
                request[name] = int(values[0])
            else:
                request[name] = value_of(member, values)
        self.assertEqual(ParamValidator().validate(request, shape).generate_report(), "")
        for name, given in request.items():
            allowed = getattr(shape.members[name], "enum", None)
            if allowed:
                self.assertIn(given, allowed)

    def test_every_aws_command_exists_and_takes_its_options(self):
        found = commands()
        self.assertGreater(len(found), 15)
        for service, operation, *words in found:
            with self.subTest(f"{service} {operation}"):
                if (service, operation) not in OWN_COMMANDS:
                    self.check(service, operation, words)

    def test_the_stack_is_given_parameters_that_it_has(self):
        parameters = cfn_yaml.load(str(stand_in.TEMPLATE))["Parameters"]
        for service, operation, *words in commands():
            if (service, operation) == ("cloudformation", "deploy"):
                given = [word.split("=", 1)[0] for word in options(words)["parameter-overrides"]]
                self.assertLessEqual(set(given), parameters.keys())
        told = set(re.findall(r"`([A-Z][A-Za-z]+)`", GUIDE.split("| parameter | when |")[1].split("| output |")[0]))
        self.assertEqual(told, parameters.keys())

    def test_the_service_takes_the_configuration(self):
        text, = blocks("toml")
        with tempfile.TemporaryDirectory() as directory:
            for name in ("ingest-secret", "realtime-key"):
                with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                    file.write("a-secret-of-some-length")
            text = text.replace("/etc/trunkline", directory)
            file = os.path.join(directory, "trunkline.toml")
            with open(file, "w", encoding="utf-8") as config:
                config.write(text)
            done = subprocess.run(
                [str(stand_in.BINARY), "config", "--config", file],
                cwd=directory,
                env={key: value for key, value in os.environ.items() if not key.startswith("TRUNKLINE")},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("warn", done.stderr.lower())

    def test_every_key_that_is_named_is_one(self):
        known = tomllib.loads((stand_in.ROOT / "config" / "default.toml").read_text(encoding="utf-8"))
        sections = "|".join(key for key, value in known.items() if isinstance(value, dict))
        named = set(re.findall(rf"`((?:{sections})\.[a-z_.]+)`", GUIDE))
        self.assertGreater(len(named), 10)
        for key in named:
            with self.subTest(key):
                value = known
                for part in key.split("."):
                    value = value[part]

    def test_every_header_that_is_named_is_one(self):
        source = (stand_in.ROOT / "crates/chime/src/sma/headers.rs").read_text(encoding="utf-8")
        known = set(re.findall(r'"(X-Trunkline-[A-Za-z-]+)"', source))
        self.assertEqual(set(re.findall(r"`(X-Trunkline-[A-Za-z-]+)`", GUIDE)), known)
        dialplan = (stand_in.ROOT / "deploy/asterisk/extensions.conf").read_text(encoding="utf-8")
        self.assertLessEqual(set(re.findall(r"X-Trunkline-[A-Za-z-]+", dialplan)), known)

    def test_the_dialplan_knows_the_ends_that_are_planned(self):
        source = (stand_in.ROOT / "crates/call/src/termination.rs").read_text(encoding="utf-8")
        planned = source.split("fn is_planned")[1].split("=> true")[0]
        names = {re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in re.findall(r"Self::(\w+)", planned)}
        dialplan = (stand_in.ROOT / "deploy/asterisk/extensions.conf").read_text(encoding="utf-8")
        self.assertEqual(set(re.search(r'"\^\(([a-z_|]+)\)\$"', dialplan).group(1).split("|")), names)


if __name__ == "__main__":
    unittest.main()
