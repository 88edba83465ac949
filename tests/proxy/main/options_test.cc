#include "proxy/main/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <variant>
#include <vector>

namespace remora::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Pair;
using testing::StartsWith;

std::variant<Options, EarlyExit> Parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "remora");
  return ParseOptions(static_cast<int>(arguments.size()), arguments.data());
}

Options Good(const std::vector<const char*>& arguments) {
  auto parsed = Parse(arguments);
  EXPECT_TRUE(std::holds_alternative<Options>(parsed)) << std::get<EarlyExit>(parsed).text;
  return std::get<Options>(parsed);
}

EarlyExit Ends(const std::vector<const char*>& arguments) {
  auto parsed = Parse(arguments);
  EXPECT_TRUE(std::holds_alternative<EarlyExit>(parsed));
  return std::get<EarlyExit>(parsed);
}

TEST(OptionsTest, DefaultsAreEnvoys) {
  const Options options = Good({});
  EXPECT_EQ(options.mode, Options::Mode::kServe);
  EXPECT_EQ(options.concurrency, HardwareThreads(false));
  EXPECT_EQ(options.log_level, "info");
  EXPECT_EQ(options.file_flush_interval_ms, 10000u);
  EXPECT_EQ(options.drain_time_s, 600u);
  EXPECT_EQ(options.drain_strategy, Options::DrainStrategy::kGradual);
  EXPECT_EQ(options.parent_shutdown_time_s, 900u);
  EXPECT_EQ(options.socket_path, "@envoy_domain_socket");
  EXPECT_FALSE(options.disable_hot_restart);
}

TEST(OptionsTest, TheCommandLineOfIstiosAgent) {
  const Options options =
      Good({"-c", "etc/istio/proxy/envoy-rev.json", "--drain-time-s", "45", "--drain-strategy",
            "immediate", "--local-address-ip-version", "v4", "--file-flush-interval-msec", "1000",
            "--disable-hot-restart", "--allow-unknown-static-fields", "-l", "warning",
            "--component-log-level", "misc:error", "--skip-deprecated-logs", "--concurrency", "2"});
  EXPECT_EQ(options.config_path, "etc/istio/proxy/envoy-rev.json");
  EXPECT_EQ(options.drain_time_s, 45u);
  EXPECT_EQ(options.drain_strategy, Options::DrainStrategy::kImmediate);
  EXPECT_EQ(options.file_flush_interval_ms, 1000u);
  EXPECT_TRUE(options.disable_hot_restart);
  EXPECT_TRUE(options.allow_unknown_static_fields);
  EXPECT_EQ(options.log_level, "warning");
  EXPECT_THAT(options.component_log_levels, ElementsAre(Pair("misc", "error")));
  EXPECT_EQ(options.concurrency, 2u);
  EXPECT_FALSE(options.prefer_ipv6);
}

TEST(OptionsTest, TheCommandLineOfConsul) {
  const Options options = Good({
      "--config-path",
      "/dev/fd/7",
      "--disable-hot-restart",
      "--",
  });
  EXPECT_EQ(options.config_path, "/dev/fd/7");
}

TEST(OptionsTest, ValuesMayFollowAnEqualsSign) {
  const Options options =
      Good({"--config-yaml={a: b}", "--mode=validate", "--service-node=n", "--service-cluster=c",
            "--service-zone=z", "--local-address-ip-version=v6"});
  EXPECT_EQ(options.config_yaml, "{a: b}");
  EXPECT_EQ(options.mode, Options::Mode::kValidate);
  EXPECT_EQ(options.service_node, "n");
  EXPECT_EQ(options.service_cluster, "c");
  EXPECT_EQ(options.service_zone, "z");
  EXPECT_TRUE(options.prefer_ipv6);
}

TEST(OptionsTest, NoWorkersMeansOne) {
  EXPECT_EQ(Good({"--concurrency", "0"}).concurrency, 1u);
  EXPECT_GE(Good({"--cpuset-threads"}).concurrency, 1u);
}

TEST(OptionsTest, TagsAndModesOfSockets) {
  const Options options = Good({"--stats-tag", "a:1", "--stats-tag", "b:2:3", "--socket-mode",
                                "644", "--mode", "init_only"});
  EXPECT_THAT(options.stats_tags, ElementsAre(Pair("a", "1"), Pair("b", "2:3")));
  EXPECT_EQ(options.socket_mode, 0644u);
  EXPECT_EQ(options.mode, Options::Mode::kInitOnly);
}

TEST(OptionsTest, FlagsWithoutEffectAreAcceptedAndNamed) {
  const Options options = Good({"--enable-core-dump", "--max-obj-name-len", "60",
                                "--disable-extensions", "x", "--v2-config-only"});
  EXPECT_THAT(options.ignored,
              testing::UnorderedElementsAre("--enable-core-dump", "--max-obj-name-len",
                                            "--disable-extensions", "--v2-config-only"));
}

TEST(OptionsTest, WhatIsWrongIsToldAsEnvoyDoes) {
  const std::pair<std::vector<const char*>, const char*> kRows[] = {
      {{"--mode", "nope"}, "error: unknown mode 'nope'\n"},
      {{"-l", "nope"}, "error: invalid log level specified 'nope'\n"},
      {{"--component-log-level", "a"}, "error: component log level not correctly specified 'a'\n"},
      {{"--component-log-level", "main:nope"}, "error: invalid log level specified 'nope'\n"},
      {{"--drain-strategy", "x"}, "error: unknown drain-strategy 'x'\n"},
      {{"--stats-tag", "x"}, "error: misformatted stats-tag 'x'\n"},
      {{"--local-address-ip-version", "v5"}, "error: unknown IP address version 'v5'\n"},
  };
  for (const auto& [arguments, text] : kRows) {
    const EarlyExit exit = Ends(arguments);
    EXPECT_EQ(exit.code, 1) << text;
    EXPECT_EQ(exit.text, text);
    EXPECT_TRUE(exit.to_stderr);
  }
}

TEST(OptionsTest, MalformedArgumentsEndWithOne) {
  for (const auto& arguments : std::vector<std::vector<const char*>>{
           {"--nosuch"}, {"--concurrency", "x"}, {"--drain-time-s", "-1"}, {"-c"}, {"stray"}}) {
    const EarlyExit exit = Ends(arguments);
    EXPECT_EQ(exit.code, 1) << arguments[0];
    EXPECT_TRUE(exit.to_stderr);
    EXPECT_THAT(exit.text, StartsWith("PARSE ERROR: "));
  }
}

TEST(OptionsTest, HelpAndVersionsEndWell) {
  const EarlyExit help = Ends({"--help"});
  EXPECT_EQ(help.code, 0);
  EXPECT_FALSE(help.to_stderr);
  EXPECT_THAT(help.text, HasSubstr("--config-path"));
  EXPECT_THAT(help.text, HasSubstr("remora control"));

  const EarlyExit version = Ends({"--version"});
  EXPECT_EQ(version.code, 0);
  // Consul takes the first three numbers with dots for the version of Envoy.
  EXPECT_THAT(
      version.text,
      MatchesRegex("\nremora  version: [0-9a-f]+/1\\.40\\.0/Clean/RELEASE/BoringSSL.*\n\n"));

  EXPECT_EQ(Ends({"--hot-restart-version", "--disable-hot-restart"}).text, "disabled\n");
}

}  // namespace
}  // namespace remora::proxy
