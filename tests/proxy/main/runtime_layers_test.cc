#include "proxy/main/runtime_layers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/support/xds/resources.h"

namespace remora::proxy {
namespace {

class RuntimeLayersTest : public testing::Test {
 protected:
  RuntimeLayersTest() : folder_(absl::StrCat(testing::TempDir(), "/layers.", getpid())) {
    std::filesystem::create_directories(folder_ + "/now/app");
  }
  ~RuntimeLayersTest() override { std::filesystem::remove_all(folder_); }

  RuntimeLayers Make(const std::string& layers) {
    return RuntimeLayers(
        xds::BootstrapOf(absl::StrCat("{node: {id: me, cluster: mine}, layered_runtime: {layers: [",
                                      layers, "]}}")),
        nullptr, [] {});
  }

  std::string folder_;
};

TEST_F(RuntimeLayersTest, LaterLayersWinAndAFolderThatIsNotThereIsNone) {
  std::ofstream(folder_ + "/now/app/key") << "2\n";
  RuntimeLayers layers = Make(
      absl::StrCat("{name: fixed, static_layer: {app: {key: 1, other: 5}}}, "
                   "{name: disk, disk_layer: {symlink_root: '",
                   folder_, "', subdirectory: now}}, {name: none, disk_layer: {symlink_root: '",
                   folder_, "', subdirectory: nowhere}}, {name: own, admin_layer: {}}"));
  RuntimeLayers::Loaded loaded = layers.Load();
  EXPECT_FALSE(loaded.failed);
  EXPECT_EQ(loaded.folders, 1u);
  EXPECT_EQ(loaded.runtime->layers().size(), 3u);
  EXPECT_EQ(loaded.runtime->Integer("app.key", 0), 2u);
  EXPECT_EQ(loaded.runtime->Integer("app.other", 0), 5u);

  EXPECT_TRUE(layers.Override({{"app.key", "3"}}).ok());
  loaded = layers.Load();
  EXPECT_TRUE(loaded.overridden);
  EXPECT_EQ(loaded.runtime->Integer("app.key", 0), 3u);
  EXPECT_TRUE(layers.Override({{"app.key", ""}}).ok()) << "taken back";
  EXPECT_EQ(layers.Load().runtime->Integer("app.key", 0), 2u);
}

TEST_F(RuntimeLayersTest, WithoutAnAdminLayerThereIsNothingToOverride) {
  RuntimeLayers layers = Make("{name: fixed, static_layer: {a: 1}}");
  EXPECT_EQ(layers.Override({{"a", "2"}}).message(), "No admin layer specified");
}

TEST_F(RuntimeLayersTest, ALayerThatComesLateIsEmptyUntilThen) {
  RuntimeLayers layers = Make(
      "{name: l, rtds_layer: {name: r, rtds_config: {resource_api_version: V3, "
      "path_config_source: {path: /dev/null}}}}");
  EXPECT_EQ(layers.Load().runtime->size(), 0u);
  auto late = std::make_shared<xds::RuntimeLayer>();
  late->values.values["a"].text = "x";
  auto all = std::make_shared<xds::RuntimeLayers>();
  all->emplace("r", late);
  layers.SetLate(all);
  const RuntimeLayers::Loaded loaded = layers.Load();
  ASSERT_NE(loaded.runtime->Find("a"), nullptr);
  EXPECT_EQ(loaded.runtime->layers()[0].name, "l");
}

}  // namespace
}  // namespace remora::proxy
