// The server as a client sees it: a real gRPC client over loopback TLS and
// over a Unix socket.
#include "xds/control/server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/ads.grpc.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "envoy/service/secret/v3/sds.grpc.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/support/control/temp_dir.h"
#include "xds/control/services_yaml.h"

namespace remora::control {
namespace {

namespace discovery = envoy::service::discovery::v3;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

Services Mesh(int port) {
  auto parsed = ParseServices(
      {{"s.yaml", absl::StrCat("services:\n"
                               "  web: {sidecar: 127.0.0.1:9100, endpoints: ['127.0.0.1:",
                               port,
                               "'], allow: [edge]}\n"
                               "  api: {sidecar: 127.0.0.1:9200, allow: '*'}\n"
                               "gateways:\n"
                               "  edge: {listen: 127.0.0.1:8080, routes: [{service: web}]}\n")}});
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return std::move(parsed->services);
}

class ServerTest : public testing::Test {
 protected:
  void Start(absl::Duration ttl = absl::Hours(1), bool publish = true) {
    auto server = Server::Listen({{"127.0.0.1:0", absl::StrCat("unix:", dir_ / "c.sock")}, ttl},
                                 state_, ca_.get());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    if (publish) server_->Publish(Mesh(1001));
    loop_ = std::thread([this] { server_->Run(); });
  }
  ~ServerTest() override {
    if (server_ == nullptr) return;
    server_->Stop();
    loop_.join();
  }

  std::shared_ptr<grpc::Channel> Tls() {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ca_->bundle();
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(ca_->ControlName());
    return grpc::CreateCustomChannel(server_->addresses()[0], grpc::SslCredentials(options),
                                     arguments);
  }
  std::shared_ptr<grpc::Channel> Unix() {
    return grpc::CreateChannel(server_->addresses()[1], grpc::InsecureChannelCredentials());
  }

  TempDir dir_;
  StateDir state_ = *StateDir::Open(dir_ / "state");
  std::unique_ptr<CertificateAuthority> ca_ = *CertificateAuthority::Open(state_, "td");
  std::unique_ptr<Server> server_;
  std::thread loop_;
};

// One ADS stream.
template <typename Request, typename Response>
class AdsClient {
 public:
  AdsClient(const std::shared_ptr<grpc::Channel>& channel, std::string node,
            const std::string& token = "")
      : stub_(discovery::AggregatedDiscoveryService::NewStub(channel)), node_(std::move(node)) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    if constexpr (std::is_same_v<Request, discovery::DiscoveryRequest>) {
      stream_ = stub_->StreamAggregatedResources(&context_);
    } else {
      stream_ = stub_->DeltaAggregatedResources(&context_);
    }
  }
  ~AdsClient() { context_.TryCancel(); }

  Request Ask(Type type) {
    Request request;
    request.set_type_url(std::string(TypeUrl(type)));
    request.mutable_node()->set_id(node_);
    return request;
  }
  bool Send(const Request& request) { return stream_->Write(request); }
  // Nothing when the stream has ended.
  std::optional<Response> Receive() {
    Response response;
    if (!stream_->Read(&response)) return std::nullopt;
    return response;
  }
  grpc::Status End() {
    stream_->WritesDone();
    Response ignored;
    while (stream_->Read(&ignored)) {
    }
    return stream_->Finish();
  }

 private:
  std::unique_ptr<discovery::AggregatedDiscoveryService::Stub> stub_;
  std::string node_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Request, Response>> stream_;
};
using SotwClient = AdsClient<discovery::DiscoveryRequest, discovery::DiscoveryResponse>;
using DeltaClient = AdsClient<discovery::DeltaDiscoveryRequest, discovery::DeltaDiscoveryResponse>;

std::string Port(const google::protobuf::Any& any) {
  envoy::config::endpoint::v3::ClusterLoadAssignment assignment;
  EXPECT_TRUE(any.UnpackTo(&assignment));
  return absl::StrCat(
      assignment.endpoints(0).lb_endpoints(0).endpoint().address().socket_address().port_value());
}

TEST_F(ServerTest, NothingWithoutAToken) {
  Start();
  SotwClient client(Tls(), "web");
  client.Send(client.Ask(Type::kSecret));
  EXPECT_FALSE(client.Receive().has_value());
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(ServerTest, NothingWithAnothersToken) {
  Start();
  const std::string api = *Tokens(state_).Create("api");
  for (const char* who : {"web", "edge", "web~x", "nobody", ""}) {
    SotwClient client(Tls(), who, api);
    auto ask = client.Ask(Type::kSecret);
    ask.add_resource_names("identity");
    client.Send(ask);
    EXPECT_FALSE(client.Receive().has_value()) << who;
    EXPECT_EQ(client.End().error_code(), grpc::StatusCode::UNAUTHENTICATED) << who;
  }
}

TEST_F(ServerTest, OnlyItsOwnKeyWithItsOwnToken) {
  Start();
  SotwClient client(Tls(), "web", *Tokens(state_).Create("web"));
  auto ask = client.Ask(Type::kSecret);
  for (const char* name : {"identity", "trust", "api", "spiffe://td/service/api"}) {
    ask.add_resource_names(name);
  }
  client.Send(ask);
  auto answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  ASSERT_EQ(answer->resources_size(), 2);
  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  ASSERT_TRUE(answer->resources(0).UnpackTo(&secret));
  EXPECT_EQ(secret.name(), "identity");
  EXPECT_THAT(secret.tls_certificate().private_key().inline_bytes(), HasSubstr("PRIVATE KEY"));
}

TEST_F(ServerTest, ANodeMayNotChangeItsNameLater) {
  Start();
  SotwClient client(Tls(), "web", *Tokens(state_).Create("web"));
  client.Send(client.Ask(Type::kCluster));
  ASSERT_TRUE(client.Receive().has_value());
  auto ask = client.Ask(Type::kEndpoint);
  ask.mutable_node()->set_id("edge");
  ask.add_resource_names("local_app");
  client.Send(ask);
  auto answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->resources_size(), 1) << "it is still web";
}

TEST_F(ServerTest, TheSocketIsItsOwnersAndAsksForNoToken) {
  Start();
  struct stat info;
  ASSERT_EQ(stat((dir_ / "c.sock").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  SotwClient client(Unix(), "edge");
  client.Send(client.Ask(Type::kListener));
  auto answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->resources_size(), 1);
}

TEST_F(ServerTest, AClientThatTrustsAnotherRootIsSafeFromUs) {
  Start();
  TempDir other;
  auto stranger = *CertificateAuthority::Open(*StateDir::Open(other.path()), "td");
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = stranger->bundle();
  SotwClient client(grpc::CreateChannel(server_->addresses()[0], grpc::SslCredentials(options)),
                    "web", "rmt_x");
  client.Send(client.Ask(Type::kCluster));
  EXPECT_FALSE(client.Receive().has_value());
}

TEST_F(ServerTest, StateOfTheWorldFollowsTheServices) {
  Start();
  SotwClient client(Unix(), "web");
  auto ask = client.Ask(Type::kEndpoint);
  ask.add_resource_names("local_app");
  client.Send(ask);
  auto first = client.Receive();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(Port(first->resources(0)), "1001");
  ask.set_response_nonce(first->nonce());
  ask.set_version_info(first->version_info());
  client.Send(ask);
  server_->Publish(Mesh(1002));
  auto second = client.Receive();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(Port(second->resources(0)), "1002");
  EXPECT_NE(second->version_info(), first->version_info());
}

TEST_F(ServerTest, DeltaFollowsTheServices) {
  Start();
  DeltaClient client(Unix(), "web");
  auto ask = client.Ask(Type::kEndpoint);
  ask.add_resource_names_subscribe("local_app");
  ask.add_resource_names_subscribe("nothing");
  client.Send(ask);
  auto first = client.Receive();
  ASSERT_TRUE(first.has_value());
  ASSERT_EQ(first->resources_size(), 1);
  EXPECT_EQ(first->resources(0).name(), "local_app");
  EXPECT_EQ(Port(first->resources(0).resource()), "1001");
  EXPECT_THAT(first->removed_resources(), ElementsAre("nothing"));
  auto ack = client.Ask(Type::kEndpoint);
  ack.set_response_nonce(first->nonce());
  client.Send(ack);
  server_->Publish(Mesh(1002));
  auto second = client.Receive();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(Port(second->resources(0).resource()), "1002");
}

TEST_F(ServerTest, NobodyIsToldThatTheWorldIsEmptyBeforeItIsKnown) {
  Start(absl::Hours(1), false);
  SotwClient client(Unix(), "web");
  client.Send(client.Ask(Type::kListener));
  server_->Publish(Mesh(1001));
  auto answer = client.Receive();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->resources_size(), 1);
}

TEST_F(ServerTest, EachTypeIsServedBySeparateServicesToo) {
  Start();
  auto stub = envoy::service::secret::v3::SecretDiscoveryService::NewStub(Unix());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto stream = stub->StreamSecrets(&context);
  discovery::DiscoveryRequest ask;
  ask.mutable_node()->set_id("web");
  ask.add_resource_names("trust");
  stream->Write(ask);
  discovery::DiscoveryResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.type_url(), std::string(TypeUrl(Type::kSecret)));
  EXPECT_EQ(answer.resources_size(), 1);
  ask.set_type_url(std::string(TypeUrl(Type::kCluster)));
  stream->Write(ask);
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, CertificatesAreRenewedOnOpenStreams) {
  Start(absl::Seconds(2));
  SotwClient client(Unix(), "web");
  auto ask = client.Ask(Type::kSecret);
  ask.add_resource_names("identity");
  client.Send(ask);
  std::string last;
  for (int i = 0; i < 3; ++i) {
    auto answer = client.Receive();
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->resources_size(), 1);
    EXPECT_NE(answer->resources(0).value(), last);
    last = answer->resources(0).value();
    ask.set_response_nonce(answer->nonce());
    client.Send(ask);
  }
}

TEST_F(ServerTest, ANodeMustSayItsNameFirst) {
  Start();
  SotwClient client(Unix(), "web");
  auto ask = client.Ask(Type::kCluster);
  ask.clear_node();
  client.Send(ask);
  EXPECT_FALSE(client.Receive().has_value());
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, AnswersHealthChecks) {
  Start();
  auto stub = grpc::health::v1::Health::NewStub(Tls());
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.status(), grpc::health::v1::HealthCheckResponse::SERVING);
}

TEST_F(ServerTest, AnOpenStreamDoesNotKeepItFromLeaving) {
  Start();
  SotwClient client(Unix(), "web");
  client.Send(client.Ask(Type::kCluster));
  ASSERT_TRUE(client.Receive().has_value());
  server_->Stop();
  loop_.join();
  EXPECT_EQ(client.End().error_code(), grpc::StatusCode::UNAVAILABLE);
  server_->Publish(Mesh(1));  // a source may be late
  server_.reset();
}

TEST_F(ServerTest, SaysWhichAddressIsTaken) {
  Start();
  const std::string taken = server_->addresses()[0];
  auto second = Server::Listen({{taken}, absl::Hours(1)}, state_, ca_.get());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("cannot listen on ", taken, ": Address already in use")));
  auto third = Server::Listen({{server_->addresses()[1]}, absl::Hours(1)}, state_, ca_.get());
  EXPECT_THAT(std::string(third.status().message()), HasSubstr("already in use"));
  // The living socket was not harmed by the attempt.
  SotwClient client(Unix(), "web");
  client.Send(client.Ask(Type::kCluster));
  EXPECT_TRUE(client.Receive().has_value());
}

}  // namespace
}  // namespace remora::control
