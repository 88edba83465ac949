"""Each rule bites: a tree with one breach gives one line that names it."""

import pathlib
import tempfile
import unittest

import rules

GUARDED = "#ifndef {0}\n#define {0}\n{1}\n#endif  // {0}\n"


class RulesTest(unittest.TestCase):

    def breaches(self, path, text, **others):
        with tempfile.TemporaryDirectory() as root:
            for name, content in {path: text, **others}.items():
                file = pathlib.Path(root) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
            return rules.check_tree(pathlib.Path(root))

    def assert_breach(self, path, text, fragment):
        found = self.breaches(path, text)
        self.assertEqual(len(found), 1, found)
        self.assertIn(fragment, found[0])

    def assert_clean(self, path, text):
        self.assertEqual(self.breaches(path, text), [])

    def test_a_room_includes_only_what_stands_before_it(self):
        self.assert_breach("lb/x.cc", '#include "proxy/base/loop.h"\n',
                           "lb may not include")
        self.assert_breach("filters/x.cc", '#include "xds/route.h"\n',
                           "filters may not include")
        self.assert_clean("proxy/x/y.cc", '#include "lb/host.h"\n')

    def test_the_control_plane_shares_nothing_with_the_data_plane(self):
        self.assert_breach("xds/control/x.cc", '#include "lb/host.h"\n',
                           "xds/control may not include")
        self.assert_breach("proxy/x.cc", '#include "xds/control/cache.h"\n',
                           "proxy may not include")

    def test_the_layers_of_proxy_have_an_order(self):
        self.assert_breach("proxy/net/x.cc", '#include "proxy/stream/y.h"\n',
                           "the order is")
        self.assert_clean("proxy/stream/x.cc", '#include "proxy/net/y.h"\n')

    def test_libraries_stay_in_their_rooms(self):
        self.assert_breach("health/x.cc", "#include <uv.h>\n", "uv.h belongs")
        self.assert_breach("proxy/x.cc", "#include <grpcpp/grpcpp.h>\n",
                           "belongs in")
        self.assert_clean("xds/control/x.cc", "#include <grpcpp/grpcpp.h>\n")
        self.assert_clean("xds/control/x.cc", "#include <openssl/x509.h>\n")

    def test_generated_headers_are_for_source_files(self):
        guard = "REMORA_PROXY_X_H_"
        include = '#include "envoy/config/core/v3/base.pb.h"'
        self.assert_breach("proxy/x.h", GUARDED.format(guard, include),
                           "slow to compile")
        self.assert_clean("proxy/x.cc", include + "\n")

    def test_nor_do_they_arrive_by_way_of_another_header(self):
        found = self.breaches(
            "proxy/x.h",
            GUARDED.format("REMORA_PROXY_X_H_", '#include "xds/y.h"'),
            **{"xds/y.h": GUARDED.format(
                "REMORA_XDS_Y_H_", '#include "envoy/type/v3/http.pb.h"')})
        self.assertEqual(len(found), 1, found)
        self.assertIn("xds/y.h brings a generated header", found[0])

    def test_locks_only_in_the_mailbox(self):
        self.assert_breach("proxy/net/x.cc", "std::mutex mutex;\n", "a lock")
        self.assert_clean("proxy/base/mailbox.cc", "std::mutex mutex;\n")

    def test_files_and_functions_have_a_ceiling(self):
        self.assert_breach("lb/x.cc", "\n" * 601, "over 600 lines")
        body = "void F() {\n" + "  G();\n" * 60 + "}\n"
        self.assert_breach("lb/x.cc", body, "a function of 62 lines")
        self.assert_clean("lb/x.cc", "namespace a {\n" +
                          "void F() {\n  G();\n}\n" * 30 + "}\n")

    def test_names_say_what_a_thing_is(self):
        self.assert_breach("lb/x.cc", "class HostImpl : public Host {};\n",
                           "does not say")
        self.assert_breach("lb/HostSet.cc", "\n", "snake_case")
        self.assert_breach("lb/x.h", GUARDED.format("X_H", ""),
                           "header guard")

    def test_nothing_is_left_unfinished(self):
        self.assert_breach("lb/x.cc", "// TO" "DO: weights\n", "unfinished")


if __name__ == "__main__":
    unittest.main()
