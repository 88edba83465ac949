#include "xds/redact.h"

#include <gtest/gtest.h>

#include "envoy/admin/v3/config_dump.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "tests/support/xds/parsing.h"
#include "udpa/type/v1/typed_struct.pb.h"
#include "xds/config_dump.h"

namespace remora::xds {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

TEST(Redact, KeysArePutOutOfSightAndTheRestStays) {
  auto secret = FromYaml<tls::Secret>(
      "{name: s, tls_certificate: {certificate_chain: {inline_string: public}, private_key: "
      "{inline_string: hush}, "
      "password: {filename: /p}}}");
  Redact(&secret);
  EXPECT_EQ(secret.name(), "s");
  EXPECT_EQ(secret.tls_certificate().certificate_chain().inline_string(), "public");
  EXPECT_EQ(secret.tls_certificate().private_key().inline_string(), "[redacted]");
  EXPECT_EQ(secret.tls_certificate().password().filename(), "[redacted]");
}

TEST(Redact, InsideNestedAnysToo) {
  tls::DownstreamTlsContext context;
  context.mutable_common_tls_context()
      ->add_tls_certificates()
      ->mutable_private_key()
      ->set_inline_bytes("hush");
  envoy::config::listener::v3::Listener listener;
  listener.add_filter_chains()->mutable_transport_socket()->mutable_typed_config()->PackFrom(
      context);
  envoy::admin::v3::ListenersConfigDump dump;
  dump.add_static_listeners()->mutable_listener()->PackFrom(listener);
  Redact(&dump);
  EXPECT_EQ(dump.SerializeAsString().find("hush"), std::string::npos);
  EXPECT_NE(ToJson(dump).find("\"inline_bytes\": \""), std::string::npos)
      << "it is seen that there is a key";
}

TEST(Redact, OfWhatNobodyCanDecodeOnlyTheTypeIsShown) {
  envoy::config::listener::v3::Listener listener;
  auto* any = listener.add_filter_chains()->mutable_transport_socket()->mutable_typed_config();
  any->set_type_url("type.googleapis.com/no.such.Type");
  any->set_value("hush");
  auto* broken = listener.add_filter_chains()->mutable_transport_socket()->mutable_typed_config();
  broken->set_type_url(
      "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext");
  broken->set_value("\xff\xff");
  Redact(&listener);
  const std::string json = ToJson(listener);
  EXPECT_EQ(json.find("hush"), std::string::npos);
  EXPECT_NE(json.find("no.such.Type"), std::string::npos) << "and the whole can be printed";
  udpa::type::v1::TypedStruct shown;
  EXPECT_TRUE(listener.filter_chains(1).transport_socket().typed_config().UnpackTo(&shown));
}

}  // namespace
}  // namespace remora::xds
