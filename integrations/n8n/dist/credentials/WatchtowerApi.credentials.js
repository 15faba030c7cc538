"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.WatchtowerApi = void 0;
/** A key of Watchtower's: an operator's for alerts, a source's for events. */
class WatchtowerApi {
    constructor() {
        this.name = 'watchtowerApi';
        this.displayName = 'Watchtower API';
        this.properties = [
            {
                displayName: 'Address',
                name: 'baseUrl',
                type: 'string',
                default: 'http://localhost:8080',
                required: true,
                description: 'Where Watchtower is reached, without a slash at the end',
            },
            {
                displayName: 'Key',
                name: 'apiKey',
                type: 'string',
                typeOptions: { password: true },
                default: '',
                description: 'Made by "watchtower keys add": role operator for alerts and the trigger, role source for events',
            },
        ];
        this.authenticate = {
            type: 'generic',
            properties: { headers: { Authorization: '=Bearer {{$credentials.apiKey}}' } },
        };
        // A source's key may not read; that it is answered at all is what is tested.
        this.test = {
            request: { baseURL: '={{$credentials.baseUrl}}', url: '/healthz' },
        };
    }
}
exports.WatchtowerApi = WatchtowerApi;
