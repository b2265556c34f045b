// Requests whose work runs beside the engine's: embeddings, and prompts that are scored before the
// completion starts.
#include <algorithm>
#include <atomic>

#include "engine/prompt_scorer.h"
#include "server/app.h"
#include "server/app_route.h"
#include "server/completion.h"
#include "server/embeddings_endpoint.h"
#include "server/requested_model.h"
#include "server/scored_prompt.h"

namespace mica {
namespace {

using Milliseconds = std::chrono::milliseconds;

// Since the request arrived: in queues, for the model to be loaded, at work. On the exchange's
// executor.
Milliseconds passed(Exchange& exchange) {
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() -
                                                  exchange.record().arrived);
}

// Whether somebody still waits for the answer.
class Wanted {
 public:
  // Ends the request with 504 after `timeout` (0: never) unless something else was answered.
  static std::shared_ptr<Wanted> watch(const std::shared_ptr<Exchange>& exchange,
                                       const std::string& path, Milliseconds timeout) {
    const auto wanted = std::make_shared<Wanted>();
    exchange->post([exchange, wanted, timeout, path] {
      const auto give_up = [exchange, wanted, path](const ApiError& error) {
        wanted->gone_ = true;
        exchange->respond(dialect_error(path, error));
      };
      exchange->on_closed([wanted] { wanted->gone_ = true; });
      exchange->on_abort(give_up);
      if (timeout.count() == 0) return;
      exchange->after(timeout - passed(*exchange),
                      [give_up, timeout] { give_up(too_late(timeout)); });
    });
    return wanted;
  }
  bool gone() const { return gone_; }  // any thread

 private:
  std::atomic<bool> gone_{false};
};

void score(CompletionJob& job, const ServedModel& model, const Wanted& wanted) {
  const auto scores = model.scorer->score(
      job.prompts, *job.prompt_logprobs, [&] { return wanted.gone(); }, job.adapter);
  for (size_t p = 0; p < scores.size(); ++p)
    job.scored_prompts.push_back(
        scored_prompt(model.text->tokenizer(), job.prompts[p], scores[p],
                      p < job.echoes.size() ? job.echoes[p] : std::string_view()));
}

}  // namespace

void App::embeddings(const HttpRequest& request, const std::shared_ptr<Exchange>& exchange) {
  const ServedModel& model = loaded_model(request);
  const auto asked = std::make_shared<EmbeddingsRequest>(parse_embeddings(request.body, model));
  asked->adapter = request.use->adapter ? request.use->adapter->id : 0;
  const auto wanted = Wanted::watch(exchange, request.path, timeout_of(request));
  // Holds the model's lease until it is done.
  side_work_.add([asked, wanted, exchange, use = request.use, path = request.path] {
    guarded(path, exchange, [&] {
      std::string body =
          answer_embeddings(*asked, use->model(), [wanted] { return wanted->gone(); });
      if (!body.empty()) send_json(exchange, std::move(body));
    });
  });
}

void App::start_scored(std::shared_ptr<CompletionJob> job, const HttpRequest& request,
                       const std::shared_ptr<Exchange>& exchange) {
  const Milliseconds timeout = timeout_of(request);
  const auto wanted = Wanted::watch(exchange, request.path, timeout);
  side_work_.add([job, wanted, timeout, exchange, use = request.use, path = request.path] {
    guarded(path, exchange, [&] {
      score(*job, use->model(), *wanted);
      if (wanted->gone()) return;
      exchange->post([job, timeout, exchange, use] {
        // The completion takes the exchange over, with what is left of its time.
        if (timeout.count() > 0)
          job->timeout = std::max(timeout - passed(*exchange), Milliseconds(1));
        start_completion(std::move(*job), use->model(), exchange);
      });
    });
  });
}

}  // namespace mica
