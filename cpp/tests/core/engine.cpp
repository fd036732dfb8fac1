// The engine: results do not depend on threads or batches, errors leave no trace, and passes do not disturb each other.
#include "core/engine.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "graphs.hpp"
#include "support.hpp"

TEST_SUITE_BEGIN("core/engine");

namespace nncore {
namespace {

constexpr size_t kSamples = 300, kInputs = 70, kHidden = 100, kClasses = 10, kBatch = 64;
constexpr double kForever = 1e9;
const int kThreadCounts[] = {1, 2, 4};

template <class T>
constexpr Source kSource = std::is_same_v<T, float> ? Source::kF32 : Source::kF64;

const std::vector<double> kEntropyAttrs{2, -100, 0};  // the mean, ignore_index, label_smoothing

template <class T>
Objective squared_error(const std::vector<T>& goal, size_t rows, size_t width) {
  Objective o;
  o.target = {{goal.data(), kSource<T>, rows, width}, false};
  o.loss = "mse";
  return o;
}

// A classifier with dropout, its data, and what there is to compare about it.
template <class T>
struct Trainer {
  explicit Trainer(uint64_t seed = 7)
      : x(random_values<T>(kSamples * kInputs, 1)), adam{"adam", {1e-3, 0.9, 0.999, 1e-8, 0.01, 0}} {
    GraphBuilder g;
    const int hidden = g.node("relu", {g.dense(g.input(kInputs), kHidden)});
    engine =
        make_engine(g.outputs({g.dense(g.node("dropout", {hidden}, {0.3}), kClasses)}), std::is_same_v<T, double>, seed);
    for (size_t p = 0; p < 4; ++p) {
      const std::vector<T> values = random_values<T>(size_of(p), 10 + p, -0.2, 0.2);
      engine->set_parameter(p, values.data());
    }
    for (size_t i = 0; i < kSamples; ++i) {
      labels.push_back(static_cast<uint8_t>(i * 7 % kClasses));
      order.push_back(static_cast<int64_t>(i * 77 % kSamples));
    }
  }

  static size_t size_of(size_t parameter) {
    constexpr size_t kSizes[] = {kInputs * kHidden, kHidden, kHidden * kClasses, kClasses};
    return kSizes[parameter];
  }
  std::vector<SampleArray> samples() const { return {{x.data(), kSource<T>, kSamples, kInputs}}; }
  Objective objective() const {
    Objective o;
    o.target = {{labels.data(), Source::kU8, kSamples, 1}, true};
    o.loss = "cross_entropy";
    o.attrs = kEntropyAttrs;
    o.metrics = {"accuracy"};
    return o;
  }

  RunOptions options(const OptimizerStep* optimizer, size_t batch = kBatch) const {
    RunOptions o;
    o.batch_size = batch;
    o.optimizer = optimizer;
    o.deadline = kForever;
    if (optimizer) {
      o.order = order.data();
      o.order_size = order.size();
    }
    return o;
  }
  RunOutcome train() { return engine->run(samples(), objective(), options(&adam)); }
  RunOutcome evaluate(size_t batch = kBatch) { return engine->run(samples(), objective(), options(nullptr, batch)); }
  std::vector<T> predict(size_t batch) {
    std::vector<T> y(kSamples * kClasses);
    engine->predict(samples(), batch, {y.data()});
    return y;
  }
  // Parameters and Adam's states.
  std::vector<T> state() {
    std::vector<T> all;
    for (size_t p = 0; p < 4; ++p) {
      std::vector<T> values(size_of(p));
      engine->get_parameter(p, values.data());
      all.insert(all.end(), values.begin(), values.end());
      for (const int s : {0, 1}) {
        engine->get_state("adam", s, p, values.data());
        all.insert(all.end(), values.begin(), values.end());
      }
    }
    return all;
  }
  std::vector<T> gradients() {
    std::vector<T> all;
    for (size_t p = 0; p < 4; ++p) {
      std::vector<T> values(size_of(p));
      engine->get_gradient(p, values.data());
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  }

  std::vector<T> x;
  std::vector<uint8_t> labels;
  std::vector<int64_t> order;
  OptimizerStep adam;
  std::unique_ptr<Engine> engine;
};

bool same(const RunOutcome& a, const RunOutcome& b) {
  return a.position == b.position && a.samples == b.samples && a.steps == b.steps && a.loss == b.loss &&
         a.metrics == b.metrics;
}

// The message of the Error that f() throws.
template <class Error, class F>
std::string what_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("the sizes here are worth four threads") {
  const ThreadLimit limit(4);
  CHECK(threads_for(3.0 * kBatch * (kInputs * kHidden + kHidden * kClasses)) == 4);
}

TEST_CASE_TEMPLATE("training: the same bits with any number of threads", T, float, double) {
  for_each_isa<T>([](const Kernels<T>&) {
    std::vector<T> want;
    RunOutcome first, second;
    for (const int count : kThreadCounts) {
      CAPTURE(count);
      const ThreadLimit limit(count);
      Trainer<T> trainer;
      const double before = trainer.evaluate().loss;
      const RunOutcome one = trainer.train(), two = trainer.train();
      if (want.empty()) {
        want = trainer.state();
        first = one;
        second = two;
        CHECK(one.samples == kSamples);
        CHECK(one.steps == (kSamples + kBatch - 1) / kBatch);
        CHECK(trainer.engine->iterations == 2 * one.steps);
        CHECK(trainer.engine->draws == 2 * one.steps);
        CHECK(trainer.evaluate().loss < before);
      }
      CHECK(same_bits(trainer.state(), want));
      CHECK(same(one, first));
      CHECK(same(two, second));
    }
  });
}

TEST_CASE_TEMPLATE("training: the seed decides", T, float, double) {
  Trainer<T> a(1), b(1), c(2);
  a.train();
  b.train();
  c.train();
  CHECK(same_bits(a.state(), b.state()));
  CHECK_FALSE(same_bits(a.state(), c.state()));
}

TEST_CASE_TEMPLATE("training: in calls of a batch each, as a deadline cuts it", T, float, double) {
  Trainer<T> whole, cut;
  const RunOutcome want = whole.train();
  RunOptions options = cut.options(&cut.adam);
  options.deadline = 0;
  RunOutcome part;
  size_t calls = 0;
  for (; options.start < kSamples; ++calls) {
    part = cut.engine->run(cut.samples(), cut.objective(), options);
    CHECK(part.steps == 1);
    options.start = part.position;
    options.sums = {part.loss, part.metrics[0], part.loss_weight, part.metric_weight};
  }
  CHECK(calls == want.steps);
  CHECK(part.loss == want.loss);
  CHECK(part.metrics == want.metrics);
  CHECK(same_bits(cut.state(), whole.state()));
}

TEST_CASE_TEMPLATE("training: the same bits as forward, backward and update by hand", T, float, double) {
  Trainer<T> loop, hand;
  RunOptions options = loop.options(&loop.adam);
  options.deadline = 0;
  options.order = nullptr;
  loop.engine->run(loop.samples(), loop.objective(), options);

  std::vector<T> y(kBatch * kClasses), dy(kBatch * kClasses), dx(kBatch * kInputs);
  hand.engine->forward({{hand.x.data(), kSource<T>, kBatch, kInputs}}, true, {y.data()});
  CHECK(hand.engine->pending_rows() == kBatch);
  CHECK_THROWS_AS(hand.engine->backward(kBatch - 1, {dy.data()}, {dx.data()}), std::runtime_error);
  const Kernels<T>& kernels = kernels_of<T>(active_kernels());
  std::vector<int32_t> labels(hand.labels.begin(), hand.labels.end());
  std::vector<double> row_loss(kBatch);
  LossArgs<T> args{};
  args.rows = kBatch;
  args.n = args.ld_pred = args.ld_dpred = kClasses;
  args.pred = y.data();
  args.index = labels.data();
  args.row_loss = row_loss.data();
  args.dpred = dy.data();
  args.attrs = kEntropyAttrs.data();
  args.scale = static_cast<T>(1.0 / kBatch);
  for (int i = 0; i < kernels.loss_count; ++i)
    if (std::string(kernels.losses[i].name) == "cross_entropy") kernels.losses[i].run(args);
  hand.engine->backward(kBatch, {dy.data()}, {dx.data()});
  CHECK_FALSE(hand.engine->pending_rows());
  hand.engine->update(hand.adam);
  CHECK(same_bits(hand.state(), loop.state()));
  CHECK(same_bits(hand.gradients(), loop.gradients()));
}

TEST_CASE_TEMPLATE("evaluation and prediction: the same bits with any threads and batches", T, float, double) {
  for_each_isa<T>([](const Kernels<T>&) {
    Trainer<T> trainer;
    trainer.train();
    const RunOutcome want = trainer.evaluate();
    const std::vector<T> y = trainer.predict(kSamples);
    for (const int count : kThreadCounts)
      for (const size_t batch : {size_t{1}, size_t{7}, kBatch, kSamples, 10 * kSamples}) {
        CAPTURE(count);
        CAPTURE(batch);
        const ThreadLimit limit(count);
        const RunOutcome outcome = trainer.evaluate(batch);
        CHECK(outcome.loss == want.loss);
        CHECK(outcome.metrics == want.metrics);
        CHECK(outcome.steps == (kSamples + batch - 1) / batch);
        CHECK(same_bits(trainer.predict(batch), y));
      }
    std::vector<T> forward(kSamples * kClasses);
    trainer.engine->forward(trainer.samples(), false, {forward.data()});
    CHECK(same_bits(forward, y));
  });
}

TEST_CASE("threads share an engine, and have engines of their own: each answer is of one moment") {
  const ThreadLimit limit(2);
  Trainer<float> shared, alone;
  const std::vector<float> before = shared.predict(kBatch);
  alone.train();
  const std::vector<float> after = alone.predict(kBatch);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        const std::vector<float> y = shared.predict(kBatch);
        if (y != before && y != after) ++wrong;
      }
    });
  threads.emplace_back([&] { shared.train(); });
  threads.emplace_back([&] {
    Trainer<float> own;
    own.train();
    if (own.predict(kBatch) != after) ++wrong;
  });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(shared.predict(kBatch) == after);
}

TEST_CASE("assign: all values, or none where one is refused") {
  Trainer<float> t;
  t.train();
  const std::vector<float> before = t.state();
  const std::vector<float> kernel(Trainer<float>::size_of(0), 1), bias(Trainer<float>::size_of(1), 2);
  CHECK_THROWS_AS(t.engine->assign({{0, kernel.data()}, {1, bias.data(), "adam", 7}}), std::invalid_argument);
  CHECK(t.state() == before);
  t.engine->assign({{0, kernel.data()}, {1, bias.data(), "adam", 1}});
  std::vector<float> found(bias.size());
  t.engine->get_state("adam", 1, 1, found.data());
  CHECK(found == bias);
  found.resize(kernel.size());
  t.engine->get_parameter(0, found.data());
  CHECK(found == kernel);
}

TEST_CASE_TEMPLATE("a bad label is refused, and nothing has changed", T, float, double) {
  for (const int count : kThreadCounts) {
    CAPTURE(count);
    const ThreadLimit limit(count);
    Trainer<T> trainer;
    const std::vector<T> before = trainer.state();
    trainer.labels[static_cast<size_t>(trainer.order[5])] = kClasses;
    trainer.labels[static_cast<size_t>(trainer.order[kBatch - 1])] =
        255;  // the first one is named, with any number of threads
    const std::string said = what_of<std::invalid_argument>([&] { trainer.train(); });
    CAPTURE(said);
    CHECK(said.find("target: ") == 0);
    CHECK(said.find("got 10 in row " + std::to_string(trainer.order[5])) != std::string::npos);
    CHECK_THROWS_AS(trainer.evaluate(), std::invalid_argument);
    CHECK(same_bits(trainer.state(), before));
    CHECK(trainer.engine->iterations == 0);
    CHECK(trainer.engine->draws == 0);

    trainer.labels = Trainer<T>().labels;
    Trainer<T> other;
    CHECK(same(trainer.train(), other.train()));
    CHECK(same_bits(trainer.state(), other.state()));
  }
}

TEST_CASE_TEMPLATE("a loss that is not finite stops before its update", T, float, double) {
  for (const int count : kThreadCounts) {
    CAPTURE(count);
    const ThreadLimit limit(count);
    Trainer<T> trainer, first_batch;
    const size_t bad = static_cast<size_t>(trainer.order[kBatch + 3]);  // in the second batch
    trainer.x[bad * kInputs + 1] = std::numeric_limits<T>::quiet_NaN();
    const std::string said = what_of<DivergenceError>([&] { trainer.train(); });
    CAPTURE(said);
    CHECK(said.find("batch 1 is nan (sample " + std::to_string(bad) + ")") != std::string::npos);
    RunOptions options = first_batch.options(&first_batch.adam);
    options.deadline = 0;
    first_batch.engine->run(first_batch.samples(), first_batch.objective(), options);
    CHECK(same_bits(trainer.state(), first_batch.state()));
    CHECK(trainer.engine->iterations == 1);
    CHECK(trainer.engine->draws == 1);
  }
}

TEST_CASE_TEMPLATE("what happens between forward and backward does no harm", T, float, double) {
  std::vector<T> want;
  for (const bool disturbed : {false, true}) {
    Trainer<T> trainer;
    const std::vector<T> dy = random_values<T>(kSamples * kClasses, 9);
    std::vector<T> y(kSamples * kClasses), dx(kSamples * kInputs);
    trainer.engine->forward(trainer.samples(), true, {y.data()});
    if (disturbed) {
      trainer.evaluate();
      trainer.predict(kBatch);
      trainer.engine->forward(trainer.samples(), false, {y.data()});
    }
    trainer.engine->backward(kSamples, {dy.data()}, {dx.data()});
    const std::vector<T> gradients = trainer.gradients();
    dx.insert(dx.end(), gradients.begin(), gradients.end());
    if (disturbed) {
      CHECK(same_bits(dx, want));
    } else {
      want = dx;
    }
  }
}

// Compares y = x w + b and its gradients, all larger than a tile, with scalar sums: entry [i, j] of each.
template <class T>
void check_dense(Engine& engine, size_t rows, size_t inputs, size_t units) {
  const std::vector<T> x = random_values<T>(rows * inputs, 20), dy = random_values<T>(rows * units, 21);
  std::vector<T> w(inputs * units), b(units), y(rows * units), dx(x.size()), dw(w.size()), db(b.size());
  engine.get_parameter(0, w.data());
  engine.get_parameter(1, b.data());
  engine.forward({{x.data(), kSource<T>, rows, inputs}}, true, {y.data()});
  engine.backward(rows, {dy.data()}, {dx.data()});
  engine.get_gradient(0, dw.data());
  engine.get_gradient(1, db.data());
  const auto check = [](const std::vector<T>& got, size_t columns, size_t depth, const auto& term) {
    for (size_t at = 0; at < got.size(); ++at) {
      Real want = 0;
      for (size_t q = 0; q < depth; ++q) want += term(at / columns, at % columns, q);
      check_close(got[at], want, static_cast<Real>(depth * (depth + 2)) * kEpsilon<T>);
    }
  };
  const auto product = [](T a, T c) { return static_cast<Real>(a) * static_cast<Real>(c); };
  check(y, units, inputs + 1, [&](size_t r, size_t j, size_t q) {
    return q == inputs ? static_cast<Real>(b[j]) : product(x[r * inputs + q], w[q * units + j]);
  });
  check(dx, inputs, units, [&](size_t r, size_t i, size_t q) { return product(dy[r * units + q], w[i * units + q]); });
  check(dw, units, rows, [&](size_t i, size_t j, size_t q) { return product(x[q * inputs + i], dy[q * units + j]); });
  check(db, units, rows, [&](size_t, size_t j, size_t q) { return static_cast<Real>(dy[q * units + j]); });
}

TEST_CASE_TEMPLATE("gradients follow every change of the parameters", T, float, double) {
  constexpr size_t rows = 40, inputs = 150, units = 70;
  const ThreadLimit limit(4);
  GraphBuilder g;
  const std::unique_ptr<Engine> engine =
      make_engine(g.outputs({g.dense(g.input(inputs), units)}), std::is_same_v<T, double>, 1);
  const OptimizerStep sgd{"sgd", {0.5, 0, 0}};
  check_dense<T>(*engine, rows, inputs, units);  // of zeros
  for (size_t round = 1; round <= 2; ++round) {
    CAPTURE(round);
    const std::vector<T> w = random_values<T>(inputs * units, round), b = random_values<T>(units, round);
    engine->set_parameter(0, w.data());
    engine->set_parameter(1, b.data());
    check_dense<T>(*engine, rows, inputs, units);
    engine->update(sgd);
    check_dense<T>(*engine, rows, inputs, units);

    const std::vector<T> x = random_values<T>(rows * inputs, 30), goal = random_values<T>(rows * units, 31);
    RunOptions options;
    options.batch_size = rows;
    options.optimizer = &sgd;
    engine->run({{x.data(), kSource<T>, rows, inputs}}, squared_error<T>(goal, rows, units), options);
    check_dense<T>(*engine, rows, inputs, units);
  }
}

TEST_CASE_TEMPLATE("a refused call leaves the pending pass alone", T, float, double) {
  Trainer<T> refused, spared;
  const std::vector<T> dy = random_values<T>(kSamples * kClasses, 9);
  std::vector<T> y(kSamples * kClasses), dx(kSamples * kInputs), want(kSamples * kInputs);
  refused.engine->forward(refused.samples(), true, {y.data()});
  const RunOptions options = refused.options(&refused.adam);
  Objective bad_loss = refused.objective(), bad_metric = bad_loss;
  bad_loss.loss = "nonsense";
  bad_metric.metrics = {"nonsense"};
  CHECK_THROWS_AS(refused.engine->run(refused.samples(), bad_loss, options), std::invalid_argument);
  CHECK_THROWS_AS(refused.engine->run(refused.samples(), bad_metric, options), std::invalid_argument);
  CHECK(refused.engine->pending_rows() == kSamples);
  refused.engine->backward(kSamples, {dy.data()}, {dx.data()});

  spared.engine->forward(spared.samples(), true, {y.data()});
  spared.engine->backward(kSamples, {dy.data()}, {want.data()});
  CHECK(same_bits(dx, want));
  CHECK(same_bits(refused.gradients(), spared.gradients()));
}

TEST_CASE("a batch beyond memory is refused, and ends the pending pass whose buffers it took") {
  Trainer<float> trainer;
  std::vector<float> y(kSamples * kClasses), dx(kSamples * kInputs);
  trainer.engine->forward(trainer.samples(), true, {y.data()});
  CHECK_THROWS_AS(trainer.engine->forward({{trainer.x.data(), Source::kF32, SIZE_MAX / 8, kInputs}}, true, {y.data()}),
                  std::bad_alloc);
  CHECK_FALSE(trainer.engine->pending_rows());
  CHECK_THROWS_AS(trainer.engine->backward(kSamples, {y.data()}, {dx.data()}), std::runtime_error);
  trainer.engine->forward(trainer.samples(), true, {y.data()});
  trainer.engine->backward(kSamples, {y.data()}, {dx.data()});
}

TEST_CASE_TEMPLATE("dropout: what backward drops is what forward dropped", T, float, double) {
  GraphBuilder g;
  constexpr size_t rows = 40, width = 33;
  const int x = g.input(width);
  const std::unique_ptr<Engine> engine =
      make_engine(g.outputs({g.node("dropout", {x}, {0.25})}), std::is_same_v<T, double>, 3);
  const std::vector<T> ones(rows * width, 1);
  std::vector<T> y(ones.size()), dx(ones.size()), second(ones.size());
  const std::vector<SampleArray> in = {{ones.data(), kSource<T>, rows, width}};
  engine->forward(in, true, {y.data()});
  engine->backward(rows, {ones.data()}, {dx.data()});
  CHECK(same_bits(y, dx));
  const auto dropped = std::count(y.begin(), y.end(), T(0));
  CHECK(dropped > 0.2 * rows * width);
  CHECK(dropped < 0.3 * rows * width);
  CHECK(dropped + std::count(y.begin(), y.end(), static_cast<T>(1 / 0.75)) == rows * width);
  engine->forward(in, true, {second.data()});
  CHECK_FALSE(same_bits(y, second));  // every training pass draws anew
  engine->forward(in, false, {y.data()});
  CHECK(same_bits(y, ones));
}

TEST_CASE_TEMPLATE("frozen parameters stay, at any place in the network", T, float, double) {
  for (const bool first : {true, false}) {
    CAPTURE(first);
    GraphBuilder g;
    const int x = g.input(3), w1 = g.parameter({3, 4}, !first), w2 = g.parameter({4, 2}, first);
    const std::unique_ptr<Engine> engine =
        make_engine(g.outputs({g.dense(g.node("tanh", {g.dense(x, 4, {w1})}), 2, {w2})}), std::is_same_v<T, double>, 1);
    const std::vector<T> a = random_values<T>(12, 1), b = random_values<T>(8, 2), in = random_values<T>(30, 3),
                         goal = random_values<T>(20, 4);
    engine->set_parameter(0, a.data());
    engine->set_parameter(1, b.data());
    const OptimizerStep sgd{"sgd", {0.1, 0.1, 0}};
    RunOptions options;
    options.batch_size = 4;
    options.optimizer = &sgd;
    options.deadline = kForever;
    engine->run({{in.data(), kSource<T>, 10, 3}}, squared_error<T>(goal, 10, 2), options);
    std::vector<T> after_a(12), after_b(8);
    engine->get_parameter(0, after_a.data());
    engine->get_parameter(1, after_b.data());
    CHECK(same_bits(after_a, a) == first);
    CHECK(same_bits(after_b, b) == !first);
  }
}

TEST_CASE("calls out of order, and names that do not exist, are refused") {
  Trainer<float> trainer;
  std::vector<float> some(kSamples * kInputs);
  CHECK_THROWS_AS(trainer.engine->backward(kSamples, {some.data()}, {some.data()}), std::runtime_error);
  CHECK_THROWS_AS(trainer.engine->get_gradient(0, some.data()), std::runtime_error);
  CHECK_THROWS_AS(trainer.engine->update(trainer.adam), std::runtime_error);
  CHECK_THROWS_AS(trainer.engine->get_state("sgd", 0, 0, some.data()), std::invalid_argument);
  CHECK_THROWS_AS(trainer.engine->get_state("nonsense", 0, 0, some.data()), std::invalid_argument);
  RunOptions options = trainer.options(nullptr);
  const auto refuses = [&](const Objective& objective) {
    CHECK_THROWS_AS(trainer.engine->run(trainer.samples(), objective, options), std::invalid_argument);
  };
  Objective objective = trainer.objective();
  for (const char* loss : {"nonsense", "mse", "bce_with_logits"}) {  // those that exist take no class indices
    objective.loss = loss;
    refuses(objective);
  }
  objective = trainer.objective();
  objective.metrics = {"mse"};
  refuses(objective);
  objective = trainer.objective();
  objective.arrays = {{1, 2}};
  refuses(objective);
  objective = trainer.objective();
  objective.target.array.width = 2;
  refuses(objective);
  options.sums = {1};
  refuses(trainer.objective());
  objective = trainer.objective();
  objective.target = {{nullptr, Source::kU8, 0, 1}, true};
  trainer.engine->run({{nullptr, Source::kF32, 0, kInputs}}, objective, trainer.options(nullptr));
}

}  // namespace
}  // namespace nncore
