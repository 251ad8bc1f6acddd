"""Our own English sentences, in hassil's template language: [optional], (one|other), <rule>, {list:slot}.

An intent that Home Assistant knows keeps its name, so that a webhook sees one vocabulary.
"""

from __future__ import annotations

from typing import Any

DEFAULT_NAMES = (
    *("lamp", "light", "kitchen light", "living room lamp", "living room light", "bedroom light", "bedroom lamp"),
    *("office light", "hall light", "bedroom fan", "fan", "garage door", "front door", "tv", "radio", "heater"),
)
DEFAULT_AREAS = ("kitchen", "living room", "bedroom", "office", "bathroom")

LEADING_FILLERS = (
    *("um", "uh", "er", "hm", "hey", "hi", "hello", "ok", "okay", "well", "so", "now", "and", "oh", "please", "sorry"),
    *("excuse me", "listen", "alexa", "computer", "jarvis", "mycroft", "nabu", "earshot"),
)
TRAILING_FILLERS = ("please", "thanks", "thank you", "now", "um", "uh", "for me", "right now", "will you", "would you")
POLITE_FRAMES = ("please {}", "{} please", "hey {}")
POLITE_REQUESTS = (*POLITE_FRAMES, "could you {}", "can you {}", "could you please {}")
REQUEST_VERBS = {
    *("turn", "switch", "set", "open", "close", "play", "tell", "stop", "cancel", "add", "put", "repeat", "say"),
    *("start", "pause", "create", "make", "remind", "wake", "lock", "unlock", "change", "remove", "help", "skip"),
}

RULES = {
    "greet": "(hello|hi|hey)",
    "tell": "(what is|what's|whats|tell me|give me)",
    "day": "(today|tonight|tomorrow|now|right now|this (morning|afternoon|evening|week|weekend)|outside|like)",
    "set_timer": "(set|start|create|make|begin|give me|put on)",
    "article": "(a|an|the|my|another)",
    "my": "(the|my|that|this)",
    "cancel": "(cancel|stop|delete|remove|clear|end|kill|turn off)",
    "h": "({hours}( |-)hour[s]|{an:hours} hour)",
    "m": "({minutes}( |-)minute[s]|{a:minutes} minute)",
    "s": "({seconds}( |-)second[s]|{a:seconds} second)",
    "half": "({half:minutes} an hour|{half:minutes} hour|{half:seconds} a minute|{quarter:minutes} [of] an hour)",
    "and_half": (
        "({an:hours} hour and a {half:minutes}|{hours} and a {half:minutes} hour[s]|"
        "{hours} hour[s] and a {half:minutes}|{a:minutes} minute and a {half:seconds}|"
        "{minutes} and a {half:seconds} minute[s]|{minutes} minute[s] and a {half:seconds})"
    ),
    "duration": "(<m>|<s>|<h>|<h> [and] <m>|<m> [and] <s>|<h> [and] <s>|<h> [and] <m> [and] <s>|<half>|<and_half>)",
    "how_long": "(how much (time|longer)|how long|how many minutes)",
    "left": "[is|are|do i have|have i got|does it have] (left|remaining|to go)",
}

LISTS: dict[str, Any] = {
    "hours": {"range": {"from": 1, "to": 48}},
    "minutes": {"range": {"from": 1, "to": 180}},
    "seconds": {"range": {"from": 1, "to": 180}},
    "a": {"values": [{"in": "a", "out": 1}]},
    "an": {"values": [{"in": "an", "out": 1}]},
    "half": {"values": [{"in": "half", "out": 30}]},
    "quarter": {"values": [{"in": "[a] quarter", "out": 15}]},
    "condition": {
        "values": ["rain", "snow", "be sunny", "be cold", "be warm", "be hot", "be windy", "be cloudy", "be nice"]
    },
    "timer_name": {"wildcard": True},
    "search_query": {"wildcard": True},
    "place": {"wildcard": True},
    "clock_time": {"wildcard": True},
    "device": {"wildcard": True},
}

INTENTS = {
    "Hello": ["<greet> [there|again]", "good (morning|afternoon|evening|day)", "<greet> good (morning|evening)"],
    "HowAreYou": [
        "[<greet>] how are you [(doing|feeling|today|doing today)]",
        "[<greet>] how (is|'s) it going",
        "[<greet>] how do you do",
    ],
    "ThankYou": ["(thank you|thanks) [(very much|so much|a lot|again)]", "(great|okay|perfect) (thank you|thanks)"],
    "Goodbye": ["(goodbye|good bye|bye|bye bye|good night|farewell)", "see you [(later|soon|tomorrow|around)]"],
    "WhoAreYou": [
        "[<greet>] <tell> your name",
        "[<greet>] (who|what) are you",
        "[<greet>] (who|what) am i (talking|speaking) (to|with)",
        "do you have a name",
        "what should i call you",
    ],
    "Help": [
        "help [me]",
        "what can you [do|help me with|help with|understand]",
        "what can you do [for me]",
        "what can i (say|ask|ask you|do|say to you)",
        "what do you (know|understand)",
        "how do (i use you|you work|i use this|i talk to you)",
    ],
    "HassGetCurrentTime": [
        "<tell> the [current] time [now|right now|is it]",
        "what time is it [now|right now|please]",
        "what's the time",
        "tell me what time it is [now]",
        "do you (know|have) (the time|what time it is)",
        "(have you got|do you have) the time",
        "current time",
    ],
    "HassGetCurrentDate": [
        "(what|which) date (is it|is today|do we have) [today|now]",
        "<tell> (the|today's|todays|the current) date [today]",
        "what is today",
        "tell me what date it is [today]",
        "do you know (the date|today's date|what date it is)",
    ],
    "GetWeekday": [
        "(what|which) day [of the week] is (it|today) [today|now]",
        "<tell> the day [of the week] [today]",
        "(what|which) day do we have [today]",
        "tell me (what|which) day it is [today]",
    ],
    "GetMonth": ["(what|which) month (is it|is this|do we have) [now]", "<tell> the [current] month"],
    "GetYear": ["(what|which) year (is it|is this|do we have) [now]", "<tell> the [current] year"],
    "TellJoke": [
        "tell [me] (a|another) [good|funny] joke",
        "(another|one more) joke",
        "make me laugh",
        "[do you] know (a|any) [good|funny] joke[s]",
        "(say|tell me) something funny",
    ],
    "Repeat": [
        "(say|repeat) (that|it|this) [again|once more|one more time]",
        "repeat [please]",
        "once more",
        "(pardon|pardon me|come again|excuse me)",
        "what did you [just] say",
        "(can|could) you (say|repeat) (that|it) [again]",
        "i (didn't|did not) (hear|understand|get|catch) (you|that|it)",
    ],
    "HassNevermind": [
        "(nevermind|never mind) [that|it]",
        "(stop|cancel) [(it|that|this|talking|speaking|everything)]",
        "(be quiet|quiet|silence|shut up|hush|enough|that's enough|that is enough)",
        "(forget|leave) (it|that)",
        "(nothing|no thanks|no thank you)",
    ],
    "MicrophoneCheck": [
        "this is (a|just a|only a) [sound|microphone|mic] test",
        "[just] (testing|a test|test) [(testing|test|one two|one two three|1 2|1 2 3)]",
        "testing testing [one two three]",
        "(mic|microphone|sound) (check|test) [(one two|one two three)]",
        "one two three [four [five [six]]]",
        "1 2 3 [4 [5 [6]]]",
        "hello world",
        "(can|do) you hear me [now]",
        "are you (there|listening|awake|ready|working)",
        "is (this|it|this thing) (on|working)",
        "does (this|it) work",
        "[<greet>] is anybody there",
    ],
    "HassGetWeather": [
        "<tell> the (weather|forecast|weather forecast) [<day>] [<day>]",
        "how (is|'s) the weather [<day>] [<day>]",
        "what (will the weather be|is the weather going to be) [like] [<day>]",
        "will it {condition} [<day>]",
        "is it going to {condition} [<day>]",
        "is it (raining|snowing|cold|warm|hot|sunny|windy) [<day>]",
        "how (cold|warm|hot) is it [<day>]",
        "do i need (an umbrella|a coat|a jacket) [<day>]",
        "<tell> the temperature (outside|today|tomorrow|tonight)",
        "(what is|what's|how is|how's) the (weather|forecast) [like] [<day>] (in|for|at) {place:name} [<day>]",
        "(what is|what's|how is|how's) the weather (in|at) {place:name} like [<day>]",
        "weather [forecast] [<day>]",
    ],
    "HassStartTimer": [
        "[<set_timer>] [<article>] timer (for|of|to) <duration>",
        "[<set_timer>] [<article>] <duration> timer",
        "<set_timer> [<article>] timer",
        "<set_timer> [<article>] {timer_name:name} timer (for|of) <duration>",
        "<set_timer> [<article>] <duration> {timer_name:name} timer",
        "<set_timer> [<article>] timer (named|called) {timer_name:name} for <duration>",
        "<set_timer> [<article>] <duration> timer (for|named|called) [the|my] {timer_name:name}",
        "<set_timer> [<article>] timer for <duration> (for|named|called) [the|my] {timer_name:name}",
        "(remind|wake|call|alert|tell) me [up] in <duration>",
        "remind me in <duration> to {timer_name:name}",
        "remind me to {timer_name:name} in <duration>",
        "count down [from|for] <duration>",
    ],
    "HassCancelTimer": [
        "<cancel> [<my>] timer",
        "<cancel> [<my>] <duration> timer",
        "<cancel> [<my>] {timer_name:name} timer",
        "<cancel> [<my>] timer (named|called|for) [the] {timer_name:name}",
    ],
    "HassCancelAllTimers": ["<cancel> (all|every|all of) [<my>] timer[s]", "<cancel> [<my>] timers"],
    "HassTimerStatus": [
        "<how_long> <left> [(on|for|in|of) [<my>] timer[s]]",
        "<how_long> (on|for|does) [<my>] timer[s] [have] [left]",
        "<how_long> <left> (on|for|in) [<my>] {timer_name:name} timer",
        "[(what is|what's|check)] [the] status of [<my>] timer[s]",
        "(check|show|list) [<my>] timer[s]",
        "timer status",
        "[how much] time left",
        "when (will|does|is) [<my>] timer [going to] (ring|go off|end|finish|finished|done|ready)",
        "(what|which|how many) timers (are|do i have|have i got) [there|set|running|left]",
        "(is|are) there [any|a] timer[s] [running|set|left]",
        "do i have [any|a] timer[s] [running|set|left]",
    ],
    "SetAlarm": [
        "(set|create|make) [an|the|my] alarm [clock] (for|at|to) {clock_time}",
        "wake me [up] at {clock_time}",
        "(set|create|make) [an|the|my] alarm",
    ],
    "HassMediaSearchAndPlay": [
        "play {search_query}",
        "(put on|play me|i want to hear|let me hear) {search_query}",
        "play [me] (music|a song|something)",
    ],
}

LAST_INTENTS = {
    "HassTurnOn": ["(turn|switch) on [the|my] {device:name}", "(turn|switch) [the|my] {device:name} on"],
    "HassTurnOff": ["(turn|switch) off [the|my] {device:name}", "(turn|switch) [the|my] {device:name} off"],
}
"Tried when nothing else fits: a device that no configuration names, which a webhook may still know."

USUAL_SENTENCES = (
    *("what time is it", "what's the time", "what date is it", "what's the date today", "what day is it today"),
    *("what is the weather", "what's the weather like today", "tell me a joke", "hello", "how are you", "thank you"),
    *("good morning", "good night", "what is your name", "who are you", "what can you do", "help", "say that again"),
    *("never mind", "stop", "this is a test", "hello world", "one two three", "testing one two three"),
    *("how much time is left", "cancel the timer", "cancel all timers", "play {search_query}", "play {search_query}"),
    *("turn on the {name}", "turn off the {name}", "turn on the {name}", "turn off the {name}"),
    *("turn the {name} on", "turn the {name} off", "turn (on|off) the lights", "turn (on|off) the {area} lights"),
    *("turn (on|off) the lights in the {area}", "(open|close) the garage door", "lock the front door"),
    *("set a timer for {minutes} minutes", "set a timer for {minutes} minutes", "set a timer for {seconds} seconds"),
    *("set a {minutes} minute timer", "set a timer for {hours} hours", "set a timer for one (hour|minute)"),
)
"""What people say most, spoken more often than the rest when the recogniser learns."""

SAMPLE_VALUES = {
    "timer_name": ("tea", "pasta", "eggs", "egg", "pizza", "rice", "bread", "laundry", "coffee", "cake", "kitchen"),
    "search_query": (
        *("the beatles", "some music", "music", "jazz", "some jazz", "classical music", "rock music", "the radio"),
        *("the news", "my favorite song", "a song", "something", "something relaxing", "the rolling stones", "mozart"),
        *("michael jackson", "queen", "bach", "the next song", "madonna", "elvis presley", "abba", "piano music"),
    ),
    "place": ("paris", "london", "berlin", "new york", "rome", "tokyo", "boston", "san francisco", "madrid", "chicago"),
    "clock_time": ("seven", "six thirty", "eight o'clock", "half past seven", "ten", "noon", "seven in the morning"),
    "shopping_list_item": (
        *("milk", "bread", "eggs", "butter", "apples", "bananas", "coffee", "tea", "cheese", "rice", "sugar", "water"),
        *("tomatoes", "potatoes", "chicken", "juice", "salt", "onions", "toilet paper", "soap", "beer", "wine"),
    ),
}
"""What stands for an open slot in sampled sentences; a template with an open slot that is not here is not sampled."""
