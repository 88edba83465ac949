#include "proxy/main/admin/stats_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"
#include "proxy/main/admin/histogram_math.h"

namespace remora::proxy {
namespace {

using testing::HasSubstr;
using testing::Not;

enum class WebStat : uint8_t { kTotal, kActive, kTime, kCode };
constexpr StatDef kWeb[] = {
    {"upstream_rq_total", StatKind::kCounter},
    {"upstream_rq_active", StatKind::kGauge},
    {"upstream_rq_time", StatKind::kHistogram},
    {"upstream_rq_", StatKind::kCodes},
};

class StatsPage : public testing::Test {
 protected:
  StatsPage() : web_(store_.MainScope<WebStat>(store_.Register("cluster.web.", kWeb))) {}

  std::string Render(const std::vector<std::pair<std::string, std::string>>& parameters,
                     bool prometheus = false) {
    auto query = StatsQuery::Parse(parameters, prometheus);
    EXPECT_TRUE(query.ok()) << query.status();
    auto page = RenderStats(store_, *query, {tags_, config_, intervals_});
    EXPECT_TRUE(page.ok()) << page.status();
    return *page;
  }
  static std::string Error(const std::vector<std::pair<std::string, std::string>>& parameters,
                           bool prometheus = false) {
    return std::string(StatsQuery::Parse(parameters, prometheus).status().message());
  }
  // The values behind the reference output of the real Envoy.
  void RecordReference() {
    for (uint64_t value : {0, 0, 0, 3, 3, 5, 7, 9}) web_.Record(WebStat::kTime, value);
  }

  StatStore store_;
  StatScope<WebStat> web_;
  xds::StatsConfig config_;
  IntervalSums intervals_;
  TagExtractor tags_{config_, {}};
};

TEST_F(StatsPage, TextIsSortedTextsThenNumbersThenHistograms) {
  web_.Add(WebStat::kTotal, 7);
  web_.AddCode(WebStat::kCode, 200);
  store_.SetText("server.version", "v");
  EXPECT_EQ(Render({}),
            "server.version: \"v\"\n"
            "cluster.web.upstream_rq_200: 1\n"
            "cluster.web.upstream_rq_active: 0\n"
            "cluster.web.upstream_rq_total: 7\n"
            "cluster.web.upstream_rq_time: No recorded values\n");
}

TEST_F(StatsPage, SummariesAreEnvoys) {
  RecordReference();
  EXPECT_EQ(
      Render({{"type", "Histograms"}}),
      "cluster.web.upstream_rq_time: P0(nan,0) P25(nan,0) P50(nan,3.033333333333333) P75(nan,5.05) "
      "P90(nan,9.05) P95(nan,9.05) P99(nan,9.05) P99.5(nan,9.05) P99.9(nan,9.05) P100(nan,9.05)\n");
}

TEST_F(StatsPage, BoundsAreEnvoys) {
  RecordReference();
  EXPECT_EQ(
      Render({{"type", "Histograms"}, {"histogram_buckets", "cumulative"}}),
      "cluster.web.upstream_rq_time: B0.5(0,3) B1(0,3) B5(0,6) B10(0,8) B25(0,8) B50(0,8) "
      "B100(0,8) "
      "B250(0,8) B500(0,8) B1000(0,8) B2500(0,8) B5000(0,8) B10000(0,8) B30000(0,8) B60000(0,8) "
      "B300000(0,8) B600000(0,8) B1.8e+06(0,8) B3.6e+06(0,8)\n");
  EXPECT_THAT(Render({{"histogram_buckets", "disjoint"}}),
              HasSubstr("B0.5(0,3) B1(0,0) B5(0,3) B10(0,2) B25(0,0)"));
}

TEST_F(StatsPage, DetailsAreEnvoys) {
  RecordReference();
  EXPECT_THAT(
      Render({{"histogram_buckets", "detailed"}}),
      HasSubstr(
          "cluster.web.upstream_rq_time:\n  totals=0,0:3, 3,0.1:2, 5,0.1:1, 7,0.1:1, 9,0.1:1\n"
          "  intervals=\n  summary=P0(nan,0) "));
}

TEST_F(StatsPage, AnIntervalShowsWhatCameLately) {
  RecordReference();
  Histogram::Sum before;
  StatStore::Visitor visitor;
  visitor.histogram = [&](const std::string&, const Histogram::Sum& sum) { before = sum; };
  store_.Visit(visitor);
  web_.Record(WebStat::kTime, 100);
  Histogram::Sum now;
  visitor.histogram = [&](const std::string&, const Histogram::Sum& sum) { now = sum; };
  store_.Visit(visitor);
  intervals_["cluster.web.upstream_rq_time"] = Difference(now, before);
  EXPECT_THAT(Render({}), HasSubstr("P100(105,105)"));
  EXPECT_THAT(Render({{"histogram_buckets", "cumulative"}}), HasSubstr("B50(0,8) B100(1,9)"));
}

TEST_F(StatsPage, FiltersByNameUseAndKind) {
  web_.Add(WebStat::kTotal);
  EXPECT_EQ(Render({{"usedonly", ""}}),
            "cluster.web.upstream_rq_active: 0\ncluster.web.upstream_rq_total: 1\n")
      << "the gauges of who was used at all are used";
  EXPECT_EQ(Render({{"filter", "rq_act"}}), "cluster.web.upstream_rq_active: 0\n");
  EXPECT_THAT(Render({{"filter", "rq_act"}, {"invert_filter", ""}}), Not(HasSubstr("active")));
  EXPECT_EQ(Render({{"type", "Gauges"}}), "cluster.web.upstream_rq_active: 0\n");
}

TEST_F(StatsPage, TheBootstrapDecidesWhichThereAre) {
  config_.reject_all = true;
  EXPECT_EQ(Render({}), "");
}

TEST_F(StatsPage, BadParametersAreToldAsEnvoyDoes) {
  EXPECT_EQ(Error({{"format", "nope"}}),
            "usage: /stats?format=(html|active-html|json|prometheus|text)\n\n");
  EXPECT_EQ(Error({{"type", "nope"}}), "invalid &type= param");
  EXPECT_THAT(Error({{"histogram_buckets", "nope"}}),
              HasSubstr("usage: /stats?histogram_buckets=("));
  EXPECT_NE(Error({{"histogram_buckets", "disjoint"}}, /*prometheus=*/true), "");
  auto page = RenderStats(store_, *StatsQuery::Parse({{"filter", "("}}, false),
                          {tags_, config_, intervals_});
  EXPECT_EQ(page.status().message(), "Invalid re2 regex: missing ): (");
}

TEST_F(StatsPage, JsonHoldsNumbersAndQuantiles) {
  web_.Add(WebStat::kTotal, 2);
  RecordReference();
  store_.SetText("t", "a\"b");
  const auto page = nlohmann::json::parse(Render({{"format", "json"}}));
  EXPECT_EQ(page["stats"][0]["value"], "a\"b");
  EXPECT_EQ(page["stats"][2]["name"], "cluster.web.upstream_rq_total");
  EXPECT_EQ(page["stats"][2]["value"], 2);
  const auto& histograms = page["stats"][3]["histograms"];
  EXPECT_EQ(histograms["supported_quantiles"][9], 100);
  EXPECT_EQ(histograms["computed_quantiles"][0]["values"][3]["cumulative"], 5.05);
  EXPECT_TRUE(histograms["computed_quantiles"][0]["values"][3]["interval"].is_null());
}

TEST_F(StatsPage, JsonShowsBoundsAndDetailsWhenAsked) {
  RecordReference();
  auto page = nlohmann::json::parse(
      Render({{"format", "json"}, {"histogram_buckets", "cumulative"}, {"type", "Histograms"}}));
  EXPECT_EQ(page["stats"][0]["histograms"][0]["buckets"][2]["upper_bound"], 5);
  EXPECT_EQ(page["stats"][0]["histograms"][0]["buckets"][2]["cumulative"], 6);
  page = nlohmann::json::parse(
      Render({{"format", "json"}, {"histogram_buckets", "detailed"}, {"type", "Histograms"}}));
  const auto& details = page["stats"][0]["histograms"]["details"][0];
  EXPECT_EQ(details["totals"][0]["count"], 3);
  EXPECT_EQ(details["totals"][1]["lower_bound"], 3);
  EXPECT_EQ(details["percentiles"][9]["cumulative"], 9.05);
}

TEST_F(StatsPage, PrometheusGroupsByFamilyAndKeepsNames) {
  web_.Add(WebStat::kTotal, 2);
  web_.AddCode(WebStat::kCode, 200);
  web_.AddCode(WebStat::kCode, 503);
  RecordReference();
  const std::string page = Render({}, /*prometheus=*/true);
  EXPECT_THAT(
      page,
      HasSubstr(
          "# TYPE envoy_cluster_upstream_rq counter\n"
          "envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"web\"} 1\n"
          "envoy_cluster_upstream_rq{envoy_response_code=\"503\",envoy_cluster_name=\"web\"} 1\n"
          "# TYPE envoy_cluster_upstream_rq_total counter\n"
          "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"web\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("# TYPE envoy_cluster_upstream_rq_active gauge\n"));
  EXPECT_THAT(
      page,
      HasSubstr("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"web\",le=\"5\"} 6\n"));
  EXPECT_THAT(
      page,
      HasSubstr("envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"web\",le=\"+Inf\"} 8\n"
                "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"web\"} 27\n"
                "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"web\"} 8\n"));
}

TEST_F(StatsPage, PrometheusSummariesAndTextsWhenAsked) {
  store_.SetText("server.version", "a\nb");
  EXPECT_THAT(Render({}, true), Not(HasSubstr("version")));
  EXPECT_THAT(Render({{"text_readouts", ""}}, true),
              HasSubstr("envoy_server_version{text_value=\"a\\nb\"} 0\n"));
  EXPECT_THAT(
      Render({{"histogram_buckets", "summary"}}, true),
      HasSubstr("# TYPE envoy_cluster_upstream_rq_time summary\n"
                "envoy_cluster_upstream_rq_time{envoy_cluster_name=\"web\",quantile=\"0\"} nan\n"));
}

TEST_F(StatsPage, HtmlEscapes) {
  store_.SetText("t", "<b>");
  EXPECT_THAT(Render({{"format", "html"}}), HasSubstr("t: \"&lt;b&gt;\""));
}

TEST(HistogramMath, IntervalsAreDifferences) {
  Histogram histogram;
  histogram.Record(0);
  histogram.Record(12);
  Histogram::Sum before;
  histogram.AddTo(before);
  histogram.Record(0);
  histogram.Record(3400);
  Histogram::Sum now;
  histogram.AddTo(now);
  const Histogram::Sum lately = Difference(now, before);
  EXPECT_EQ(lately.count, 2u);
  EXPECT_EQ(lately.zeros, 1u);
  EXPECT_EQ(CountBelow(lately, 12), 1u);
  EXPECT_EQ(CountBelow(lately, 5000), 2u);
}

}  // namespace
}  // namespace remora::proxy
