#ifndef REMORA_TESTS_SUPPORT_XDS_SUBSCRIBED_WORLD_H_
#define REMORA_TESTS_SUPPORT_XDS_SUBSCRIBED_WORLD_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/xds/fake_world.h"
#include "tests/support/xds/resources.h"
#include "xds/catalog.h"
#include "xds/subscriptions.h"

namespace remora::xds {

// Whom to ask, and the clusters that lead there.
inline constexpr char kFront[] =
    "{node: {id: me, cluster: mine}, static_resources: {clusters: [{name: one, type: STATIC}, "
    "{name: two, type: "
    "STATIC}]}, dynamic_resources: ";

inline std::string AdsBootstrap(const std::string& type, const std::string& more_services = "") {
  return absl::StrCat(
      kFront, "{cds_config: {ads: {}}, lds_config: {ads: {}}, ads_config: {api_type: ", type,
      ", transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: one}}",
      more_services, "]}}}");
}

// Catalog and subscriptions over a world in which nothing happens by itself.
class SubscribedWorld {
 public:
  explicit SubscribedWorld(const std::string& bootstrap)
      : bootstrap_(BootstrapOf(bootstrap)),
        catalog_(bootstrap_, {[this] { changed_ = true; },
                              [this](ResourceKind kind) {
                                if (asked_ != nullptr) asked_->OnInterest(kind);
                              }}) {
    Subscriptions::Hooks hooks;
    hooks.on_event = [this](const UpdateEvent& event) { events_.push_back(event); };
    hooks.on_connected = [this](bool connected) { connected_ = connected; };
    hooks.on_initialized = [this] { initialized_ = true; };
    subscriptions_ =
        std::make_unique<Subscriptions>(bootstrap_, &catalog_, &fake_, std::move(hooks), false);
    asked_ = subscriptions_.get();
    subscriptions_->Start();
    Turn();
  }

  // The end of a turn: what the catalog changed is published.
  void Turn() {
    while (std::exchange(changed_, false)) subscriptions_->OnCatalogChange();
  }
  FakeWorld::FakeCall& ads() {
    EXPECT_NE(fake_.ads(), nullptr);
    return *fake_.ads();
  }
  void Answer(ResourceKind kind, const std::string& version, const std::string& nonce,
              const std::vector<std::string>& resources) {
    ads().Answer(kind, version, nonce, resources);
    Turn();
  }
  void Advance(std::chrono::nanoseconds by) {
    fake_.Advance(by);
    Turn();
  }
  // "kind name" of the events of one sort since the last look.
  std::vector<std::string> Events(UpdateEvent::Kind kind) {
    std::vector<std::string> out;
    for (const UpdateEvent& event : events_) {
      if (event.kind != kind) continue;
      out.push_back(absl::StrCat(std::string(TypeOf(event.resource).short_name),
                                 event.name.empty() ? "" : " ", event.name));
    }
    return out;
  }
  void ForgetEvents() { events_.clear(); }

  std::shared_ptr<const Bootstrap> bootstrap_;
  FakeWorld fake_;
  bool changed_ = false;
  bool connected_ = false;
  bool initialized_ = false;
  std::vector<UpdateEvent> events_;
  // The catalog has wishes while it is made, when there is nobody to hear them.
  Subscriptions* asked_ = nullptr;
  Catalog catalog_;
  std::unique_ptr<Subscriptions> subscriptions_;
};

}  // namespace remora::xds

#endif  // REMORA_TESTS_SUPPORT_XDS_SUBSCRIBED_WORLD_H_
