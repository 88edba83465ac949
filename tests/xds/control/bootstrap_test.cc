#include "xds/control/bootstrap.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "envoy/extensions/upstreams/http/v3/http_protocol_options.pb.h"
#include "tests/support/control/yaml_json.h"

namespace remora::control {
namespace {

namespace tls = envoy::extensions::transport_sockets::tls::v3;
using envoy::config::bootstrap::v3::Bootstrap;

// Read as a proxy reads it: an unknown field is an error.
Bootstrap Read(const BootstrapOptions& options) {
  // The types of its Anys must be linked in.
  envoy::extensions::upstreams::http::v3::HttpProtocolOptions::descriptor();
  absl::StatusOr<std::string> text = MakeBootstrap(options);
  EXPECT_TRUE(text.ok()) << text.status();
  Bootstrap bootstrap;
  const auto status =
      google::protobuf::util::JsonStringToMessage(ToJson(YAML::Load(*text)).dump(), &bootstrap);
  EXPECT_TRUE(status.ok()) << status.ToString() << "\n" << *text;
  return bootstrap;
}

BootstrapOptions Options() {
  BootstrapOptions options;
  options.name = "web";
  options.control = "10.0.0.9:18000";
  options.token = "rmt_secret";
  options.bundle = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  options.control_id = "spiffe://td/control";
  options.server_name = "control.td";
  return options;
}

TEST(Bootstrap, SaysWhoTheNodeIsAndShowsItsToken) {
  const Bootstrap bootstrap = Read(Options());
  EXPECT_EQ(bootstrap.node().id(), "web");
  EXPECT_EQ(bootstrap.node().cluster(), "web");
  const auto& ads = bootstrap.dynamic_resources().ads_config();
  EXPECT_EQ(ads.api_type(), envoy::config::core::v3::ApiConfigSource::GRPC);
  EXPECT_EQ(ads.grpc_services(0).envoy_grpc().cluster_name(), "control");
  EXPECT_EQ(ads.grpc_services(0).initial_metadata(0).key(), "authorization");
  EXPECT_EQ(ads.grpc_services(0).initial_metadata(0).value(), "Bearer rmt_secret");
  EXPECT_TRUE(bootstrap.dynamic_resources().cds_config().has_ads());
  EXPECT_TRUE(bootstrap.dynamic_resources().lds_config().has_ads());
  EXPECT_FALSE(bootstrap.has_admin());
}

TEST(Bootstrap, PinsTheControlPlanesRootAndId) {
  const Bootstrap bootstrap = Read(Options());
  const auto& cluster = bootstrap.static_resources().clusters(0);
  EXPECT_EQ(cluster.type(), envoy::config::cluster::v3::Cluster::STATIC);
  tls::UpstreamTlsContext context;
  ASSERT_TRUE(cluster.transport_socket().typed_config().UnpackTo(&context));
  const auto& validation = context.common_tls_context().validation_context();
  EXPECT_EQ(validation.trusted_ca().inline_string(), Options().bundle);
  EXPECT_EQ(validation.match_typed_subject_alt_names(0).san_type(),
            tls::SubjectAltNameMatcher::URI);
  EXPECT_EQ(validation.match_typed_subject_alt_names(0).matcher().exact(), "spiffe://td/control");
}

TEST(Bootstrap, OverAUnixSocketNeitherTokenNorTls) {
  BootstrapOptions options = Options();
  options.control = "unix:/run/remora/control.sock";
  const Bootstrap bootstrap = Read(options);
  const auto& cluster = bootstrap.static_resources().clusters(0);
  EXPECT_FALSE(cluster.has_transport_socket());
  EXPECT_EQ(
      cluster.load_assignment().endpoints(0).lb_endpoints(0).endpoint().address().pipe().path(),
      "/run/remora/control.sock");
  EXPECT_EQ(bootstrap.dynamic_resources().ads_config().grpc_services(0).initial_metadata_size(), 0);
}

TEST(Bootstrap, NamesInstancesAdminAndDelta) {
  BootstrapOptions options = Options();
  options.control = "control.internal:18000";
  options.instance = "10.0.0.2:15006";
  options.admin = "[::1]:0";
  options.delta = true;
  const Bootstrap bootstrap = Read(options);
  EXPECT_EQ(bootstrap.node().id(), "web~10.0.0.2:15006");
  EXPECT_EQ(bootstrap.admin().address().socket_address().address(), "::1");
  EXPECT_EQ(bootstrap.admin().address().socket_address().port_value(), 0u);
  EXPECT_EQ(bootstrap.dynamic_resources().ads_config().api_type(),
            envoy::config::core::v3::ApiConfigSource::DELTA_GRPC);
  EXPECT_EQ(bootstrap.static_resources().clusters(0).type(),
            envoy::config::cluster::v3::Cluster::STRICT_DNS);
}

TEST(Bootstrap, RefusesWhatWouldBreakIt) {
  BootstrapOptions options = Options();
  options.name = "We b";
  EXPECT_FALSE(MakeBootstrap(options).ok());
  options = Options();
  options.control = "nowhere";
  EXPECT_FALSE(MakeBootstrap(options).ok());
  options = Options();
  options.instance = "a\nb";
  EXPECT_FALSE(MakeBootstrap(options).ok());
  options = Options();
  options.instance = "a\"b\\c";
  EXPECT_EQ(Read(options).node().id(), "web~a\"b\\c");
}

}  // namespace
}  // namespace remora::control
