/*
 * agent_request.c: the agent's requests to the API server, all but watches and events. Of hundreds of pods that want something
 * at the same moment (after an absence of the API server, say) as many ask at a time as keep it busy; the others wait their
 * turn, first come, first served, and take no more memory than their request does.
 */
#include "agent.h"

#include "base/mem.h"

#define AT_A_TIME 100

struct agent_turn {
    struct agent *agent;
    struct agent_turn *previous, *next; /* of those that wait, or of those that are under way */
    const char *method, *content_type; /* static; content_type may be NULL */
    char *path, *as; /* as: NULL for the agent itself */
    struct json *body;
    kube_done *done;
    void *data;
};

static void turn_free(struct agent_turn *turn)
{
    free(turn->path);
    free(turn->as);
    json_free(turn->body);
    free(turn);
}
DEFINE_CLEANUP_POINTER(struct agent_turn *, turn_free)

static void on_done(struct json **answer, struct err *err, void *data);

static void sent(struct agent_requests *requests, struct agent_turn *turn)
{
    turn->previous = NULL;
    turn->next = requests->sent;
    if (requests->sent != NULL)
        requests->sent->previous = turn;
    requests->sent = turn;
    requests->n_sent++;
}

static void answered(struct agent_requests *requests, struct agent_turn *turn)
{
    if (turn->previous != NULL)
        turn->previous->next = turn->next;
    else
        requests->sent = turn->next;
    if (turn->next != NULL)
        turn->next->previous = turn->previous;
    requests->n_sent--;
}

static void send_next(struct agent_requests *requests)
{
    while (requests->first != NULL && requests->n_sent < AT_A_TIME) {
        struct agent_turn *turn = requests->first;
        requests->first = turn->next;
        if (requests->first == NULL)
            requests->last = NULL;
        sent(requests, turn);
        struct kube_request request = {.method = turn->method, .path = turn->path, .body = turn->body, .as = turn->as,
                                       .content_type = turn->content_type, .omit = agent_omit};
        (void)kube_start(turn->agent->kube, &request, on_done, turn);
        turn->body = json_free(turn->body); /* it has a copy */
    }
}

static void on_done(struct json **answer, struct err *err, void *data)
{
    CLEANUP(turn_free) struct agent_turn *turn = data;
    struct agent_requests *requests = &turn->agent->requests;

    answered(requests, turn);
    send_next(requests);
    turn->done(answer, err, turn->data);
}

static void ask(struct agent *agent, char *as, const char *method, char *path, struct json *body,
                const char *content_type, kube_done *done, void *data)
{
    struct agent_requests *requests = &agent->requests;
    struct agent_turn *turn = NEW(struct agent_turn);

    *turn = (struct agent_turn){.agent = agent, .method = method, .path = path, .as = as, .body = body,
                                .content_type = content_type, .done = done, .data = data};
    if (requests->last != NULL)
        requests->last->next = turn;
    else
        requests->first = turn;
    requests->last = turn;
    send_next(requests);
}

void agent_request(struct agent *agent, const char *method, char *path, struct json *body, const char *content_type,
                   kube_done *done, void *data)
{
    ask(agent, NULL, method, path, body, content_type, done, data);
}

void agent_request_as(struct agent *agent, const char *node, const char *method, char *path, struct json *body,
                      kube_done *done, void *data)
{
    char *as = agent->options.impersonate_nodes ? xasprintf("system:node:%s", node) : NULL;

    ask(agent, as, method, path, body, NULL, done, data);
}

static void free_all(struct agent_turn *turn)
{
    while (turn != NULL) {
        struct agent_turn *next = turn->next;
        turn_free(turn);
        turn = next;
    }
}

void agent_requests_done(struct agent_requests *requests)
{
    free_all(requests->first);
    free_all(requests->sent);
    *requests = (struct agent_requests){0};
}
