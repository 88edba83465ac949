#include "proxy/main/admin/stats_page.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"

namespace remora::proxy {
namespace {

struct Number {
  std::string name;
  uint64_t value;
};
struct Text {
  std::string name;
  std::string value;
};
struct Distribution {
  std::string name;
  Histogram::Sum sum;
};

// Everything that the query lets through, sorted by name.
struct Selection {
  std::vector<Number> counters;
  std::vector<Number> gauges;
  std::vector<Distribution> histograms;
  std::vector<Text> texts;
};

template <typename T>
void SortByName(std::vector<T>& list) {
  std::sort(list.begin(), list.end(), [](const T& a, const T& b) { return a.name < b.name; });
}

bool Wants(const StatsQuery& query, StatsQuery::Type type) {
  return query.type == StatsQuery::Type::kAll || query.type == type;
}

Selection Select(const StatStore& store, const StatsQuery& query, const re2::RE2* filter) {
  Selection out;
  const auto passes = [&](const std::string& name) { return filter == nullptr || re2::RE2::PartialMatch(name, *filter); };
  StatStore::Visitor visitor;
  if (Wants(query, StatsQuery::Type::kCounters)) {
    visitor.counter = [&](const std::string& name, uint64_t value, bool used) {
      if ((used || !query.used_only) && passes(name)) out.counters.push_back({name, value});
    };
  }
  if (Wants(query, StatsQuery::Type::kGauges)) {
    visitor.gauge = [&](const std::string& name, uint64_t value, bool used) {
      if ((used || !query.used_only) && passes(name)) out.gauges.push_back({name, value});
    };
  }
  if (Wants(query, StatsQuery::Type::kHistograms)) {
    visitor.histogram = [&](const std::string& name, const Histogram::Sum& sum) {
      if ((sum.count > 0 || !query.used_only) && passes(name)) out.histograms.push_back({name, sum});
    };
  }
  if (Wants(query, StatsQuery::Type::kTextReadouts)) {
    visitor.text = [&](const std::string& name, const std::string& value) {
      if (passes(name)) out.texts.push_back({name, value});
    };
  }
  store.Visit(visitor);
  SortByName(out.counters);
  SortByName(out.gauges);
  SortByName(out.histograms);
  SortByName(out.texts);
  return out;
}

std::vector<Number> Merged(const Selection& selection) {
  std::vector<Number> all = selection.counters;
  all.insert(all.end(), selection.gauges.begin(), selection.gauges.end());
  SortByName(all);
  return all;
}

const Histogram::Sum* IntervalOf(const IntervalSums& intervals, const std::string& name) {
  const auto found = intervals.find(name);
  return found == intervals.end() || found->second.count == 0 ? nullptr : &found->second;
}

std::string Shown(double value) { return std::isnan(value) ? "nan" : fmt::format("{}", value); }

std::string SummaryLine(const Distribution& histogram, const Histogram::Sum* interval) {
  if (histogram.sum.count == 0) return "No recorded values";
  const std::vector<double> all = Quantiles(histogram.sum);
  const std::vector<double> recent =
      interval == nullptr ? std::vector<double>(all.size(), std::nan("")) : Quantiles(*interval);
  std::vector<std::string> parts;
  for (size_t i = 0; i < all.size(); ++i) {
    parts.push_back(absl::StrCat("P", fmt::format("{}", kQuantiles[i] * 100), "(", Shown(recent[i]), ",",
                                 Shown(all[i]), ")"));
  }
  return absl::StrJoin(parts, " ");
}

std::string BucketLine(const Distribution& histogram, const Histogram::Sum* interval, bool disjoint) {
  std::vector<std::string> parts;
  uint64_t before = 0;
  uint64_t recent_before = 0;
  for (double bound : kBounds) {
    const uint64_t below = CountBelow(histogram.sum, bound);
    const uint64_t recent = interval == nullptr ? 0 : CountBelow(*interval, bound);
    parts.push_back(absl::StrCat("B", fmt::format("{}", bound), "(", disjoint ? recent - recent_before : recent, ",",
                                 disjoint ? below - before : below, ")"));
    before = below;
    recent_before = recent;
  }
  return absl::StrJoin(parts, " ");
}

std::string RenderText(const Selection& selection, const StatsQuery& query, const IntervalSums& intervals) {
  std::string out;
  for (const Text& text : selection.texts) absl::StrAppend(&out, text.name, ": \"", text.value, "\"\n");
  for (const Number& number : Merged(selection)) absl::StrAppend(&out, number.name, ": ", number.value, "\n");
  for (const Distribution& histogram : selection.histograms) {
    const Histogram::Sum* interval = IntervalOf(intervals, histogram.name);
    const bool summary = query.buckets == StatsQuery::Buckets::kSummary;
    absl::StrAppend(&out, histogram.name, ": ",
                    summary ? SummaryLine(histogram, interval)
                            : BucketLine(histogram, interval, query.buckets == StatsQuery::Buckets::kDisjoint),
                    "\n");
  }
  return out;
}

nlohmann::ordered_json QuantileValues(const Distribution& histogram, const Histogram::Sum* interval) {
  auto values = nlohmann::ordered_json::array();
  const bool any = histogram.sum.count > 0;
  const std::vector<double> all = any ? Quantiles(histogram.sum) : std::vector<double>();
  const std::vector<double> recent = interval != nullptr ? Quantiles(*interval) : std::vector<double>();
  for (size_t i = 0; i < std::size(kQuantiles); ++i) {
    nlohmann::ordered_json value;
    value["cumulative"] = any ? nlohmann::ordered_json(all[i]) : nlohmann::ordered_json();
    value["interval"] = interval != nullptr ? nlohmann::ordered_json(recent[i]) : nlohmann::ordered_json();
    values.push_back(std::move(value));
  }
  return values;
}

std::string RenderJson(const Selection& selection, const IntervalSums& intervals) {
  auto stats = nlohmann::ordered_json::array();
  for (const Text& text : selection.texts) stats.push_back({{"name", text.name}, {"value", text.value}});
  for (const Number& number : Merged(selection)) stats.push_back({{"name", number.name}, {"value", number.value}});
  if (!selection.histograms.empty()) {
    nlohmann::ordered_json histograms;
    histograms["supported_quantiles"] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};
    auto computed = nlohmann::ordered_json::array();
    for (const Distribution& histogram : selection.histograms) {
      computed.push_back({{"name", histogram.name},
                          {"values", QuantileValues(histogram, IntervalOf(intervals, histogram.name))}});
    }
    histograms["computed_quantiles"] = std::move(computed);
    stats.push_back({{"histograms", std::move(histograms)}});
  }
  nlohmann::ordered_json page;
  page["stats"] = std::move(stats);
  return page.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string PrometheusName(absl::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (!absl::ascii_isalnum(c) && c != '_') c = '_';
  }
  if (!out.empty() && absl::ascii_isdigit(out[0])) out.insert(0, "_");
  return out;
}

std::string EscapeLabel(absl::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string Labels(const TaggedName& tagged) {
  return absl::StrJoin(tagged.tags, ",", [](std::string* out, const auto& tag) {
    absl::StrAppend(out, PrometheusName(tag.first), "=\"", EscapeLabel(tag.second), "\"");
  });
}

// One family: its type and its lines.
using Families = std::map<std::string, std::string>;

void AppendNumbers(const std::vector<Number>& numbers, absl::string_view type, const TagExtractor& tags,
                   std::string* out) {
  Families families;
  for (const Number& number : numbers) {
    const TaggedName tagged = tags.Extract(number.name);
    const std::string name = absl::StrCat("envoy_", PrometheusName(tagged.name));
    absl::StrAppend(&families[name], name, "{", Labels(tagged), "} ", number.value, "\n");
  }
  for (const auto& [name, lines] : families) absl::StrAppend(out, "# TYPE ", name, " ", type, "\n", lines);
}

void AppendHistograms(const std::vector<Distribution>& histograms, const TagExtractor& tags, std::string* out) {
  Families families;
  for (const Distribution& histogram : histograms) {
    const TaggedName tagged = tags.Extract(histogram.name);
    const std::string name = absl::StrCat("envoy_", PrometheusName(tagged.name));
    const std::string labels = Labels(tagged);
    const std::string comma = labels.empty() ? "" : ",";
    std::string& lines = families[name];
    for (double bound : kBounds) {
      absl::StrAppend(&lines, name, "_bucket{", labels, comma, "le=\"", fmt::format("{}", bound), "\"} ",
                      CountBelow(histogram.sum, bound), "\n");
    }
    absl::StrAppend(&lines, name, "_bucket{", labels, comma, "le=\"+Inf\"} ", histogram.sum.count, "\n");
    absl::StrAppend(&lines, name, "_sum{", labels, "} ", fmt::format("{}", histogram.sum.sum), "\n");
    absl::StrAppend(&lines, name, "_count{", labels, "} ", histogram.sum.count, "\n");
  }
  for (const auto& [name, lines] : families) absl::StrAppend(out, "# TYPE ", name, " histogram\n", lines);
}

std::string RenderPrometheus(const Selection& selection, const StatsQuery& query, const TagExtractor& tags) {
  std::string out;
  AppendNumbers(selection.counters, "counter", tags, &out);
  AppendNumbers(selection.gauges, "gauge", tags, &out);
  if (query.text_readouts) {
    Families families;
    for (const Text& text : selection.texts) {
      TaggedName tagged = tags.Extract(text.name);
      tagged.tags.emplace_back("text_value", text.value);
      const std::string name = absl::StrCat("envoy_", PrometheusName(tagged.name));
      absl::StrAppend(&families[name], name, "{", Labels(tagged), "} 0\n");
    }
    for (const auto& [name, lines] : families) absl::StrAppend(&out, "# TYPE ", name, " gauge\n", lines);
  }
  AppendHistograms(selection.histograms, tags, &out);
  return out;
}

}  // namespace

std::vector<double> Quantiles(const Histogram::Sum& sum) {
  std::vector<double> out;
  double lower = 0;
  double upper = static_cast<double>(sum.zeros);
  double left = 0;
  double width = 0;
  int index = -1;
  const auto total = static_cast<double>(sum.count);
  const int buckets = static_cast<int>(sum.buckets.size());
  const auto next = [&] {
    while (++index < buckets) {
      if (sum.buckets[index] == 0) continue;
      lower = upper;
      upper += static_cast<double>(sum.buckets[index]);
      left = Histogram::BucketStart(index);
      width = Histogram::BucketWidth(index);
      return true;
    }
    return false;
  };
  if (sum.zeros == 0) next();
  for (double quantile : kQuantiles) {
    const double rank = total * quantile;
    while (upper < rank && next()) {
    }
    if (rank == lower) {
      out.push_back(left);
    } else if (rank == upper || width == 0) {
      out.push_back(left + width);
    } else {
      out.push_back(left + (rank - lower) / (upper - lower) * width);
    }
  }
  return out;
}

uint64_t CountBelow(const Histogram::Sum& sum, double bound) {
  uint64_t count = sum.zeros;
  for (size_t i = 0; i < sum.buckets.size(); ++i) {
    if (sum.buckets[i] == 0) continue;
    // Rounding must not push a bucket that ends at the bound behind it.
    const double end = Histogram::BucketStart(static_cast<int>(i)) + Histogram::BucketWidth(static_cast<int>(i));
    if (end > bound * (1 + 1e-9)) break;
    count += sum.buckets[i];
  }
  return count;
}

absl::StatusOr<StatsQuery> StatsQuery::Parse(const std::vector<std::pair<std::string, std::string>>& parameters) {
  StatsQuery query;
  for (const auto& [name, value] : parameters) {
    if (name == "usedonly") query.used_only = true;
    if (name == "text_readouts") query.text_readouts = true;
    if (name == "filter") query.filter = value;
    if (name == "format") {
      if (value == "json") {
        query.format = Format::kJson;
      } else if (value == "prometheus") {
        query.format = Format::kPrometheus;
      } else if (value != "text") {
        return absl::InvalidArgumentError("usage: /stats?format=(text|json|prometheus)\n\n");
      }
    }
    if (name == "type") {
      constexpr std::pair<absl::string_view, Type> kTypes[] = {{"All", Type::kAll},
                                                               {"Counters", Type::kCounters},
                                                               {"Gauges", Type::kGauges},
                                                               {"Histograms", Type::kHistograms},
                                                               {"TextReadouts", Type::kTextReadouts}};
      const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                       [&, &value = value](const auto& type) { return type.first == value; });
      if (found == std::end(kTypes)) return absl::InvalidArgumentError("invalid &type= param");
      query.type = found->second;
    }
    if (name == "histogram_buckets") {
      constexpr std::pair<absl::string_view, Buckets> kModes[] = {{"summary", Buckets::kSummary},
                                                                  {"cumulative", Buckets::kCumulative},
                                                                  {"disjoint", Buckets::kDisjoint},
                                                                  {"detailed", Buckets::kDetailed}};
      const auto* found = std::find_if(std::begin(kModes), std::end(kModes),
                                       [&, &value = value](const auto& mode) { return mode.first == value; });
      if (found == std::end(kModes)) {
        return absl::InvalidArgumentError(
            "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n");
      }
      query.buckets = found->second;
    }
  }
  return query;
}

absl::StatusOr<std::string> RenderStats(const StatStore& store, const StatsQuery& query, const TagExtractor& tags,
                                        const IntervalSums& intervals) {
  std::unique_ptr<re2::RE2> filter;
  if (!query.filter.empty()) {
    filter = std::make_unique<re2::RE2>(query.filter, re2::RE2::Quiet);
    if (!filter->ok()) return absl::InvalidArgumentError("Invalid re2 regex");
  }
  const Selection selection = Select(store, query, filter.get());
  switch (query.format) {
    case StatsQuery::Format::kJson:
      return RenderJson(selection, intervals);
    case StatsQuery::Format::kPrometheus:
      return RenderPrometheus(selection, query, tags);
    case StatsQuery::Format::kText:
      break;
  }
  return RenderText(selection, query, intervals);
}

}  // namespace remora::proxy
